// Children that answer, die, hang and babble.
#include "bench/peer_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

namespace bench {
namespace {

// A peer of a few lines of shell, which sees about or rows as $1.
PeerProcess peer(const std::string& script) { return {"fake", {"sh", "-c", script, "fake"}}; }

std::string error_of(const nlohmann::json& answer) {
  return answer.value("error", "no error: " + answer.dump());
}

std::ptrdiff_t open_files() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

// Whether a process ends soon: one that nobody has waited for is a zombie, Z.
bool ends(pid_t pid) {
  for (int i = 0; i < 2000; ++i) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(file, text);
    if (text.empty() || text.substr(text.rfind(')') + 2, 1) == "Z") return true;
    usleep(5000);
  }
  kill(pid, SIGKILL);
  return false;
}

TEST(PeerProcess, AnswersALineWithALine) {
  PeerProcess good = peer(R"(while read -r line; do echo "{\"row\": \"$line\", \"pid\": $$}"; done)");
  const nlohmann::json first = good.ask("--t 5", 20), second = good.ask("--t 6", 20);
  EXPECT_EQ(first.at("row"), "--t 5");
  EXPECT_EQ(second.at("row"), "--t 6");
  EXPECT_EQ(first.at("pid"), second.at("pid")) << "one process for all rows";
}

TEST(PeerProcess, SaysWhatItIsOrWhyItCannotRun) {
  EXPECT_EQ(peer(R"([ "$1" = about ] && echo '{"name": "fake", "version": "1.2"}')").about(20).at("version"),
            "1.2");
  EXPECT_EQ(error_of(peer("echo no module named torch; exit 1").about(20)), "fake: no module named torch");
  EXPECT_EQ(error_of(peer("exit 3").about(20)), "fake ended with status 3");
  EXPECT_EQ(error_of(PeerProcess("none", {"/nowhere/none"}).about(20)), "none could not be started");
  EXPECT_EQ(error_of(peer("sleep 60").about(0.2)), "fake: no answer");
}

TEST(PeerProcess, OneThatIsEndedIsStartedAnewWithoutALimit) {
  PeerProcess good = peer(R"(while read -r line; do echo "{\"pid\": $$}"; done)");
  good.end();  // nothing is started yet
  pid_t before = 0;
  for (int i = 0; i < 12; ++i) {
    const pid_t pid = good.ask("1", 20).at("pid");
    EXPECT_NE(pid, before);
    EXPECT_EQ(good.ask("2", 20).at("pid"), pid);
    good.end();
    EXPECT_TRUE(ends(pid));
    before = pid;
  }
}

TEST(PeerProcess, OneThatDiesIsStartedAgainAFewTimes) {
  PeerProcess dying = peer("read -r line; exit 3");
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(error_of(dying.ask("--t 5", 20)), "fake: ended with status 3");
    dying.end();
  }
  EXPECT_EQ(error_of(dying.ask("--t 5", 20)), "fake: given up after 5 failures");
  PeerProcess killed = peer("read -r line; kill -9 $$");
  EXPECT_EQ(error_of(killed.ask("--t 5", 20)), "fake: was ended by signal 9");
}

TEST(PeerProcess, OneThatHangsIsEndedAndTheNextRowIsAnswered) {
  PeerProcess hangs =
      peer(R"(read -r line; [ "$line" = hang ] && sleep 60; echo '{"ok": true}'; cat >/dev/null)");
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(error_of(hangs.ask("hang", 1)), "fake: no answer in 1 s");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30)) << "it waited for the sleep";
  EXPECT_EQ(hangs.ask("go on", 20).at("ok"), true);
}

TEST(PeerProcess, WhatIsNoJsonIsAnError) {
  PeerProcess babbles = peer("while read -r line; do echo hello; done");
  EXPECT_EQ(error_of(babbles.ask("--t 5", 20)), "fake: no JSON: hello");
  PeerProcess endless = peer("read -r line; yes | tr -d '\\n'");
  EXPECT_EQ(error_of(endless.ask("--t 5", 20)), "fake: a line without an end");
}

TEST(PeerProcess, ALineTooManyIsNotTheNextAnswer) {
  PeerProcess chatty = peer(R"(while read -r line; do printf '{"row": "%s"}\nwarning\n' "$line"; done)");
  EXPECT_EQ(chatty.ask("--t 5", 20).at("row"), "--t 5");
  EXPECT_EQ(error_of(chatty.ask("--t 6", 20)), "fake: said more than one line for a row");
  EXPECT_EQ(chatty.ask("--t 7", 20).at("row"), "--t 7");
}

TEST(PeerProcess, NothingIsLeftOfOneThatIsGone) {
  const std::ptrdiff_t before = open_files();
  for (const std::string how : {"exit 3", "exec sleep 60", "echo hello"}) {
    PeerProcess fake = peer("read -r line; " + how);
    fake.ask("--t 5", 0.3);
    fake.about(0.3);
  }
  EXPECT_EQ(open_files(), before);
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a zombie";
  EXPECT_EQ(errno, ECHILD);
}

TEST(PeerProcess, WhatAPeerStartedEndsWithIt) {
  PeerProcess parent =
      peer(R"(sleep 60 >/dev/null & read -r line; echo "{\"pid\": $!}"; read -r line; exit 3)");
  const pid_t pid = parent.ask("--t 5", 20).at("pid").get<pid_t>();
  EXPECT_EQ(error_of(parent.ask("--t 6", 20)), "fake: ended with status 3");
  EXPECT_TRUE(ends(pid));
}

TEST(PeerProcess, APeerEndsWithTheProcessThatAsks) {
  int pipe_ends[2];
  ASSERT_EQ(pipe2(pipe_ends, O_CLOEXEC), 0);
  const pid_t asks = fork();
  if (asks == 0) {
    PeerProcess fake = peer(R"(read -r line; echo "{\"pid\": $$}"; exec sleep 60)");
    const pid_t pid = fake.ask("--t 5", 20).value("pid", 0);
    const bool written = write(pipe_ends[1], &pid, sizeof pid) == sizeof pid;
    kill(getpid(), written ? SIGKILL : SIGABRT);
  }
  close(pipe_ends[1]);
  pid_t pid = 0;
  ASSERT_EQ(read(pipe_ends[0], &pid, sizeof pid), static_cast<ssize_t>(sizeof pid));
  close(pipe_ends[0]);
  waitpid(asks, nullptr, 0);
  ASSERT_GT(pid, 0);
  EXPECT_TRUE(ends(pid));
}

TEST(PeerProcess, WorksWhereStandardInputIsClosed) {
  const int kept = dup(STDIN_FILENO);
  close(STDIN_FILENO);
  PeerProcess good = peer("read -r line && echo '{\"ok\": true}'");
  const nlohmann::json answer = good.ask("--t 5", 20);
  if (kept >= 0) {
    dup2(kept, STDIN_FILENO);
    close(kept);
  }
  EXPECT_EQ(answer, nlohmann::json({{"ok", true}}));
}

TEST(PeerProcess, ALongRowToOneThatReadsNothingEnds) {
  PeerProcess deaf = peer("exec sleep 60");
  EXPECT_EQ(error_of(deaf.ask(std::string(1 << 20, 'x'), 0.5)), "fake: stopped answering");
  PeerProcess gone = peer("exec true");
  EXPECT_EQ(error_of(gone.ask(std::string(1 << 20, 'x'), 20)), "fake: ended with status 0");
}

TEST(KnownPeers, AreThoseThatAreThere) {
  const std::filesystem::path folder = ::testing::TempDir() + "known_peers";
  std::filesystem::create_directories(folder / "bin");
  const auto write = [&](const char* file, const char* script) {
    std::ofstream(folder / file) << script;
    std::filesystem::permissions(folder / file, std::filesystem::perms::owner_all);
  };
  write("rondo-bench-ort", "#!/bin/sh\necho '{\"version\": \"1.2\"}'\n");
  write("pytorch.py", "");
  write("bin/python3", "#!/bin/sh\nbasename \"$1\"\n");
  std::vector<PeerProcess> peers = known_peers({folder, folder, folder});
  ASSERT_EQ(peers.size(), 2u);
  EXPECT_EQ(peers[0].name(), "onnxruntime");
  EXPECT_EQ(peers[0].about(20).at("version"), "1.2");
  EXPECT_EQ(error_of(peers[1].about(20)), "pytorch: pytorch.py");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace bench
