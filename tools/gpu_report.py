#!/usr/bin/env python3
"""Keeps the report of tools/gpu-run: gpu-report.json and gpu-summary.md, rewritten as a whole at each step.

Usage: gpu_report.py FOLDER STEP [ARGUMENT...], where STEP is one of
  begin MINUTES STAGES | stage NAME STATE SECONDS | devices TEXT STATE | tests JUNIT | compare JSON |
  deepbench JSON | questions LINES | end STATE
"""
import ctypes
import functools
import glob
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as xml

STAGES = ["unpack", "configure", "build", "devices", "tests", "parity", "sanitizer", "build bench", "deepbench",
          "questions", "compare"]
LEFT_OUT = {"tests": ["deepbench", "questions"], "measure": ["tests", "parity", "sanitizer"], "all": []}
TAIL = 3000  # characters kept of what a failure printed


def output_of(*command):
    """What a command prints, or None where it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def first_line(text):
    return text.splitlines()[0].strip() if text else None


def commit():
    """From git, else from what tools/gpu-bundle wrote; -dirty where a source differs from it."""
    head = output_of("git", "rev-parse", "HEAD") if pathlib.Path(".git").exists() else None
    if head:
        return head + ("-dirty" if output_of("git", "status", "--porcelain") != "" else "")
    try:
        written = pathlib.Path(".gpu-bundle/commit").read_text().strip()
        sums = pathlib.Path(".gpu-bundle/sources.sha256").read_text().splitlines()
    except OSError:
        return None
    return written if written.endswith("-dirty") or unchanged(sums) else written + "-dirty"


def unchanged(sums):
    for line in sums:
        digest, path = line.split(maxsplit=1)
        try:
            if hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest() != digest:
                return False
        except OSError:
            return False
    return True


def nvidia_folders():
    """Where Python's wheels put NVIDIA's libraries: in the package nvidia of the python3 that runs this."""
    try:
        import nvidia
    except ImportError:
        return []
    return list(nvidia.__path__)


def cudnn_version():
    """Of the library that would be loaded: "9.19.0", or None."""
    found = ["libcudnn.so.9"]
    for folder in nvidia_folders():
        found += glob.glob(folder + "/cudnn/lib/libcudnn.so.9")
    for home in filter(None, [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]):
        found += glob.glob(home + "/lib*/libcudnn.so.9")
    for path in found:
        try:
            get = ctypes.CDLL(path).cudnnGetVersion
        except (OSError, AttributeError):
            continue
        get.restype = ctypes.c_size_t
        version = get()
        return f"{version // 10000}.{version // 100 % 100}.{version % 100}"
    return None


def environment():
    gpu = output_of("nvidia-smi", "--query-gpu=name,driver_version,memory.total,compute_cap",
                    "--format=csv,noheader")
    fields = [field.strip() for field in first_line(gpu).split(",")] if gpu else [None] * 4
    cpu = re.search(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return {
        "gpu": fields[0],
        "driver": fields[1],
        "gpu_memory": fields[2],
        "compute_capability": fields[3],
        "cuda": None,  # known once nvcc was found
        "cublas": None,
        "cudnn": cudnn_version(),
        "cpu": f"{cpu.group(1) if cpu else 'unknown'}, {os.cpu_count()} threads",
        "compiler": first_line(output_of("c++", "--version")),
        "cmake": first_line(output_of("cmake", "--version")),
    }


def add_configured(report):
    """The toolkit that CMake took."""
    try:
        cache = pathlib.Path("build/gpu/CMakeCache.txt").read_text()
    except OSError:
        return
    entry = dict(re.findall(r"^(\w+):\w+=(.*)$", cache, re.M))
    nvcc = entry.get("CMAKE_CUDA_COMPILER")
    text = output_of(nvcc, "--version") if nvcc else None
    release = re.search(r"release [\d.]+, V([\d.]+)", text or "")
    report["cuda"] = f"{release.group(1)} ({nvcc})" if release else None
    report["cublas"] = entry.get("RONDO_CUBLAS_LIBRARY")
    report["bundle"] = "dependencies" in entry.get("CBLAS_LIBRARY", "")
    report["architectures"] = entry.get("CMAKE_CUDA_ARCHITECTURES")


def add_tests(report, path):
    """Counts what CTest wrote. Without a usable GPU, a test that passes is none of a GPU."""
    try:
        cases = xml.parse(path).getroot().iter("testcase")
    except (OSError, xml.ParseError):
        return
    usable = report["gpu_usable"]
    for case in cases:
        name = case.get("name").split("  #")[0]
        text = case.findtext("system-out") or ""
        skipped, status = case.find("skipped"), case.get("status")
        if status == "run" and case.find("failure") is None:
            report["passed" if usable else "passed_without_gpu"] += 1
            error = re.search(r"^(.*): largest error ([\d.]+) of the tolerance", text, re.M)
            if error:
                report["figures"]["largest_error_of_tolerance"][name] = float(error.group(2))
        elif skipped is not None and "SKIP" in (skipped.get("message") or "").upper():
            report["skipped"] += 1
            reason = re.search(r"Skipped\n+(.*)", text)
            reason = reason.group(1) if reason else "no reason given"
            report["skip_reasons"][reason] = report["skip_reasons"].get(reason, 0) + 1
        elif status in ("notrun", "disabled"):
            report["not_run"] += 1
        else:
            report["failed"] += 1
            report["failures"].append({"test": name, "output": text[-TAIL:]})


def step_begin(report, minutes, asked):
    report.update({
        "state": "running", "verdict": None, "passed": 0, "failed": 0, "skipped": 0, "not_run": 0,
        "passed_without_gpu": 0, "gpu_usable": False, "gpu_reason": None, "commit": commit(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "minutes": int(minutes),
        "asked": asked,
        **environment(), "bundle": False,
        "stages": {name: {"state": "left out" if name in LEFT_OUT[asked] else "not run yet", "seconds": 0}
                   for name in STAGES},
        "failures": [], "skip_reasons": {},
        "figures": {"largest_error_of_tolerance": {}, "compare": None, "deepbench": None, "cudnn": None},
    })


def step_stage(report, name, state, seconds):
    stage = report["stages"][name] = {"state": state, "seconds": int(seconds)}
    if name == "configure" and state == "done":
        add_configured(report)
    if state.startswith("failed"):
        stage["output"] = (FOLDER / "stage").read_text(errors="replace")[-TAIL:]


def step_devices(report, text, state):
    lines = pathlib.Path(text).read_text(errors="replace").splitlines()
    listed = [line for line in lines if line.startswith("cuda:")]
    report["gpu_usable"] = state == "done"
    report["gpu_reason"] = None if state == "done" else (listed[0] if listed else state)
    if state == "done":
        report["gpu"] = report["gpu"] or listed[0]


def step_results(report, path, name):
    """Results that a program wrote as one piece of JSON."""
    try:
        report["figures"][name] = json.loads(pathlib.Path(path).read_text())
    except (OSError, ValueError):
        report["figures"][name] = None


def step_questions(report, path):
    """The answers of rondo-cudnn-map: single questions as they are, the map as counts."""
    try:
        lines = [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]
    except (OSError, ValueError):
        return
    if lines:
        report["figures"]["cudnn"] = {
            "asked": len(lines) - 1, "of": lines[0]["jobs"],
            "answers": [line for line in lines[1:] if "question" in line],
            "map": map_counts([line for line in lines[1:] if "map" in line])}


def map_counts(lines):
    """How many of the sizes that were asked for cuDNN runs, and the largest H, by what else was asked."""
    counts = {}
    for line in lines:
        key = tuple(line[name] for name in ("algorithm", "dtype", "math", "cell", "layers", "directions"))
        row = counts.setdefault(key, {"asked": 0, "lost": 0, "inference": 0, "inference_h": 0,
                                      "training": 0, "training_h": 0})
        row["asked"] += 1
        row["lost"] += "lost" in line or "error" in line
        for phase in ("inference", "training"):
            if line.get(phase, {}).get("accepted"):
                row[phase] += 1
                row[f"{phase}_h"] = max(row[f"{phase}_h"], line["h"])
    return [{"network": " ".join(map(str, key[:4])) + f" L={key[4]} D={key[5]}", **row}
            for key, row in counts.items()]


def step_end(report, state):
    report["state"] = state
    # Of the stages that were not done, those that are no mere consequence of another.
    consequences = ("not run: needs", "not run yet", "left out")
    undone = [f"the stage {name} {stage['state']}" for name, stage in report["stages"].items()
              if stage["state"] != "done" and not stage["state"].startswith(consequences)]
    wrong = [] if state == "complete" else [f"the run was {state}"]
    measured = report["asked"] == "measure"
    why = f" ({report['gpu_reason']})" if report["gpu_reason"] else ""
    if measured and not report["gpu_usable"]:
        wrong.append("no GPU was measured" + why)
    elif not measured and report["passed"] == 0:
        wrong.append("no GPU test passed" + why)
    if report["failed"]:
        wrong.append(f"GPU tests failed: {report['failed']}")
    if report["not_run"]:
        wrong.append(f"GPU tests not run: {report['not_run']}")
    report["verdict"] = "; ".join(wrong + undone) or ("measured, not tested" if measured else "passed")


def compare_table(results):
    lines = ["| shape | cell | phase | T | N | I | H | L | CPU us | GPU us | CPU/GPU | auto us | auto took | "
             "the faster? |", "|---|---|---|" + "---:|" * 9 + "---|---|"]
    for row in results["shapes"]:
        gpu, faster = row["gpu_us"], row["auto_took_faster"]
        sizes = " | ".join(str(row[key]) for key in ("t", "n", "i", "h", "layers"))
        lines.append(
            f"| {row['name']} | {row['cell']} | {row['phase']} | {sizes} | {row['cpu_us']:.1f} | "
            f"{'-' if gpu is None else format(gpu, '.1f')} | "
            f"{'-' if gpu is None else format(row['cpu_us'] / gpu, '.2f')} | {row['auto_us']:.1f} | "
            f"{row['auto_device']} | {'-' if faster is None else 'yes' if faster else 'no'} |")
    return lines


def deepbench_table(results):
    lines = [f"- {name}: {engine}" for name, engine in results["engines"].items()]
    lines += [f"- {name} was not timed to the end: {why}" for name, why in results["missing"].items()]
    lines += [f"- {len(results['rows'])} rows, {len(results['skipped'])} skipped for lack of time", "",
              "| H/N/T | phase | type | math | | rondo us | torch us | torch/rondo | rondo's path |",
              "|---|---|---|---|---|---:|---:|---:|---|"]
    for row in results["rows"]:
        rondo, torch, ratio = (
            "-" if row[key] is None else format(row[key], form)
            for key, form in (("rondo_us", ".1f"), ("torch_us", ".1f"), ("ratio", ".2f")))
        said = row.get("path") or row.get("rondo_error") or ""
        lines.append(f"| {row['name']} | {row['phase']} | {row['dtype']} | {row['math']} | "
                     f"{'graph' if row['graph'] else 'calls'} | {rondo} | {torch} | {ratio} | {said} |")
    return lines


def cudnn_table(results):
    lines = [f"{results['asked']} of {results['of']} were asked.", "",
             "| network | asked | inference | largest H | training | largest H | lost |",
             "|---|" + "---:|" * 6]
    for row in results["map"]:
        lines.append(f"| {row['network']} | {row['asked']} | {row['inference']} | {row['inference_h']} | "
                     f"{row['training']} | {row['training_h']} | {row['lost']} |")
    return lines + [""] + ["    " + json.dumps(answer) for answer in results["answers"]]


def summary(report):
    lines = ["# GPU run", "", f"**{report['verdict'] or 'still running'}**", "",
             f"- {report['passed']} passed, {report['failed']} failed, {report['skipped']} skipped, "
             f"{report['not_run']} not run, {report['passed_without_gpu']} passed without a GPU"]
    for key in ("commit", "started", "gpu", "gpu_memory", "compute_capability", "driver", "cuda", "cublas",
                "cudnn", "cpu", "compiler", "cmake", "bundle"):
        lines.append(f"- {key.replace('_', ' ')}: {report.get(key)}")
    lines += ["", "| stage | state | seconds |", "|---|---|---:|"]
    for name, stage in report["stages"].items():
        lines.append(f"| {name} | {stage['state']} | {stage['seconds']} |")
    if report["skip_reasons"]:
        lines += ["", "Skipped:", ""] + [f"- {n}: {reason}" for reason, n in report["skip_reasons"].items()]
    errors = report["figures"]["largest_error_of_tolerance"]
    if errors:
        worst = max(errors, key=errors.get)
        lines += ["", f"Largest error: {errors[worst]} of the tolerance ({worst})."]
    for stage in report["stages"].values():
        if "output" in stage:
            lines += ["", "```", stage["output"].rstrip(), "```"]
    for failure in report["failures"][:20]:
        lines += ["", f"## {failure['test']}", "", "```", failure["output"].rstrip(), "```"]
    if report["figures"]["deepbench"]:
        lines += ["", "## DeepBench's rows beside PyTorch", ""]
        lines += deepbench_table(report["figures"]["deepbench"])
    if report["figures"]["cudnn"]:
        lines += ["", "## What cuDNN runs", ""] + cudnn_table(report["figures"]["cudnn"])
    if report["figures"]["compare"]:
        lines += ["", "## CPU against GPU", ""] + compare_table(report["figures"]["compare"])
    return "\n".join(lines) + "\n"


def write(name, text):
    """Whole or not at all, also when the program is stopped while it writes."""
    unfinished = FOLDER / (name + ".unfinished")
    unfinished.write_text(text)
    os.replace(unfinished, FOLDER / name)


def main(step, *arguments):
    path = FOLDER / "gpu-report.json"
    report = {} if step == "begin" else json.loads(path.read_text())
    steps = {"begin": step_begin, "stage": step_stage, "devices": step_devices, "tests": add_tests,
             "compare": functools.partial(step_results, name="compare"),
             "deepbench": functools.partial(step_results, name="deepbench"), "questions": step_questions,
             "end": step_end}
    steps[step](report, *arguments)
    write("gpu-report.json", json.dumps(report, indent=2) + "\n")
    write("gpu-summary.md", summary(report))
    if step != "end":
        return 0
    print(f"{report['passed']} passed, {report['failed']} failed, {report['skipped']} skipped: "
          f"{report['verdict']}\n{path}\n{FOLDER / 'gpu-summary.md'}")
    return 0 if report["verdict"] in ("passed", "measured, not tested") else 1


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    FOLDER = pathlib.Path(sys.argv[1])
    sys.exit(main(*sys.argv[2:]))
