// The page's design, and files written whole or not at all.
#include "tools/report/report.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <system_error>

namespace report {
namespace {

// One design for every page: no web font, no script, readable on a phone and on paper.
constexpr const char* kStyle = R"(
:root{--ink:#1c2733;--muted:#5d6b7a;--line:#e3e8ee;--card:#fff;--ground:#f4f6f9;--accent:#2563eb}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);
font:16px/1.55 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:960px;margin:0 auto;padding:40px 24px 64px}
header{margin-bottom:28px}
h1{font-size:32px;line-height:1.2;margin:0 0 6px;letter-spacing:-.02em}
header p{margin:0;color:var(--muted);font-size:17px}
h2{font-size:20px;margin:36px 0 10px;letter-spacing:-.01em}
p{margin:0 0 14px;max-width:46em}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:12px;margin:0 0 8px}
.facts div,figure,.sample,.scroll,.words,.verdict{
background:var(--card);border:1px solid var(--line);border-radius:10px}
.facts div{padding:14px 16px}
.facts dt{color:var(--muted);font-size:13px}
.facts dd{margin:2px 0 0;font-size:22px;font-weight:600;
font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
figure{margin:0 0 16px;padding:16px 16px 12px}
figure svg{display:block;width:100%;height:auto}
figcaption{color:var(--muted);font-size:14px;margin-top:8px}
.scroll{overflow-x:auto;margin:0 0 16px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:9px 16px;text-align:right;border-top:1px solid var(--line)}
th{border-top:0;color:var(--muted);font-size:13px;font-weight:600}
th:first-child,td:first-child{text-align:left}
tr.best td{background:#eef4ff;font-weight:600}
.sample{margin:0 0 12px;padding:12px 16px}
.sample b{display:block;color:var(--muted);font-size:13px;font-weight:600;margin-bottom:4px}
.sample pre{margin:0;white-space:pre-wrap;font:14px/1.5 ui-monospace,"DejaVu Sans Mono",monospace}
.words{display:flex;flex-wrap:wrap;gap:8px;padding:16px;margin:0 0 16px}
.words span{background:var(--ground);border-radius:6px;padding:3px 10px}
.verdict{margin:0 0 12px;padding:14px 16px}
.verdict b{display:block;margin-bottom:4px}
.verdict span{float:right;margin:0 0 4px 12px;padding:2px 10px;border-radius:6px;color:#fff;
font-size:13px;font-weight:600}
.verdict p{margin:0 0 4px;color:var(--muted);font-size:14px;max-width:none}
.panels{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,310px),1fr));gap:16px}
.wide{max-width:1180px}
.wide p{max-width:66em}
.panels>div:only-child{max-width:460px}
.keys{display:flex;flex-wrap:wrap;gap:4px 20px;margin:0 0 12px;font-size:14px}
.keys i{display:inline-block;width:14px;height:4px;border-radius:2px;margin-right:6px;vertical-align:middle}
.warning{background:#fff4e5;border:1px solid #e8710a;border-radius:10px;padding:10px 16px;max-width:none}
details{margin:0 0 16px}
summary{cursor:pointer;font-weight:600;margin:0 0 10px}
details table{font-size:13px}
details th,details td{padding:4px 10px;white-space:nowrap}
footer{color:var(--muted);font-size:13px;margin-top:40px}
@media print{body{background:#fff}}
)";

std::string cells(const std::vector<std::string>& row, const char* tag) {
  std::string text;
  for (const std::string& cell : row) {
    text += std::string("<") + tag + ">" + escape_html(cell) + "</" + tag + ">";
  }
  return text;
}

}  // namespace

std::string escape_html(const std::string& text) {
  std::string escaped;
  for (char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string fixed(double value, int digits) {
  if (!std::isfinite(value)) return "not a number";
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%.*f", digits, value);
  return buffer;
}

Page::Page(std::string title, std::string subtitle)
    : title_(std::move(title)), subtitle_(std::move(subtitle)) {}

void Page::facts(const std::vector<std::pair<std::string, std::string>>& figures) {
  body_ += "<dl class=\"facts\">";
  for (const auto& [name, value] : figures) {
    body_ += "<div><dt>" + escape_html(name) + "</dt><dd>" + escape_html(value) + "</dd></div>";
  }
  body_ += "</dl>\n";
}

void Page::heading(const std::string& text) { body_ += "<h2>" + escape_html(text) + "</h2>\n"; }

void Page::paragraph(const std::string& text) { body_ += "<p>" + escape_html(text) + "</p>\n"; }

void Page::table(const Table& table) {
  body_ += "<div class=\"scroll\"><table><thead><tr>" + cells(table.header, "th") + "</tr></thead><tbody>\n";
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    const bool best = i < table.highlighted.size() && table.highlighted[i];
    body_ += (best ? "<tr class=\"best\">" : "<tr>") + cells(table.rows[i], "td") + "</tr>\n";
  }
  body_ += "</tbody></table></div>\n";
}

void Page::sample(const std::string& label, const std::string& text) {
  body_ +=
      "<div class=\"sample\"><b>" + escape_html(label) + "</b><pre>" + escape_html(text) + "</pre></div>\n";
}

void Page::verdict(const std::string& label, const std::string& color, const std::string& claim,
                   const std::vector<std::string>& lines) {
  body_ += "<div class=\"verdict\"><span style=\"background:" + color + "\">" + escape_html(label) +
           "</span><b>" + escape_html(claim) + "</b>";
  for (const std::string& line : lines) body_ += "<p>" + escape_html(line) + "</p>";
  body_ += "</div>\n";
}

void Page::words(const std::vector<std::string>& words) {
  body_ += "<div class=\"words\">";
  for (const std::string& word : words) body_ += "<span>" + escape_html(word) + "</span> ";
  body_ += "</div>\n";
}

void Page::warning(const std::string& text) {
  body_ += "<p class=\"warning\">" + escape_html(text) + "</p>\n";
}

void Page::details(const std::string& summary, const Table& rows) {
  body_ += "<details><summary>" + escape_html(summary) + "</summary>\n";
  table(rows);
  body_ += "</details>\n";
}

void Page::wide() { wide_ = true; }

void Page::panels(const std::vector<std::string>& svgs, const Legend& legend, const std::string& caption) {
  // One that has its own key is drawn as wide as the page.
  if (svgs.size() == 1 && legend.empty()) return figure(svgs[0], caption);
  std::string all, keys;
  for (const std::string& svg : svgs) all += svg.empty() ? "" : "<div>" + svg + "</div>";
  for (const auto& [label, color] : legend) {
    keys += "<span><i style=\"background:" + escape_html(color) + "\"></i>" + escape_html(label) + "</span> ";
  }
  if (!keys.empty()) keys = "<div class=\"keys\">" + keys + "</div>";
  figure(all.empty() ? "" : keys + "<div class=\"panels\">" + all + "</div>", caption);
}

void Page::figure(const std::string& svg, const std::string& caption) {
  const std::string picture =
      svg.empty() ? "<p>No chart: gnuplot is not installed (on Debian and Ubuntu: sudo apt-get install "
                    "gnuplot-nox). The tables have the same figures.</p>"
                  : svg;
  body_ += "<figure>" + picture + "<figcaption>" + escape_html(caption) + "</figcaption></figure>\n";
}

std::string Page::html() const {
  return "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>" +
         escape_html(title_) + "</title>\n<style>" + kStyle + "</style></head>\n<body><main" +
         (wide_ ? " class=\"wide\"" : "") + "><header><h1>" + escape_html(title_) + "</h1><p>" +
         escape_html(subtitle_) + "</p></header>\n" + body_ +
         "<footer>Made by Rondo. This page stands alone: it loads nothing. Its charts are drawn by "
         "gnuplot, copyright Thomas Williams, Colin Kelley and others.</footer></main></body></html>\n";
}

void prepare_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error || !std::filesystem::is_directory(folder)) {
    throw InputError("--out " + folder.string() + ": cannot be used as a folder" +
                     (error ? " (" + error.message() + ")" : ""));
  }
  if (access(folder.c_str(), W_OK | X_OK) != 0) {
    throw InputError("--out " + folder.string() + ": no permission to write there");
  }
}

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::path part = path;
  part += ".part";
  std::ofstream stream(part, std::ios::binary | std::ios::trunc);
  stream << text;
  stream.close();
  if (!stream) {
    std::error_code ignored;
    std::filesystem::remove(part, ignored);
    throw std::runtime_error("cannot write " + path.string());
  }
  std::filesystem::rename(part, path);
}

}  // namespace report
