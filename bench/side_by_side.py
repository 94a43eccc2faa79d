#!/usr/bin/env python3
"""Times rows by rondo-bench and by PyTorch in turn, on one GPU.

Two processes live as long as this one and are given the same row in turn, A B, B A, A B, so that neither pays
for a start and a slow moment hits both. Each round is one brief measurement (bench/timing.h); a row has the
median of its rounds and the ratio of the medians, PyTorch's time over Rondo's. Rows come in the file's order,
plain calls first, then replays of CUDA graphs. OUT is written anew after each row and names those that do not
fit the time as skipped. Where one of the two does not run, the other is timed alone, and OUT says why.
"""
import argparse
import json
import os
import pathlib
import queue
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time

EXAMPLES = """examples:
  side_by_side.py --rondo build/cuda/bench/rondo-bench --json deepbench.json
  side_by_side.py --rondo build/cuda/bench/rondo-bench --json deepbench.json --seconds 900 --rounds 7
"""
MOST_STARTS = 5  # of one engine
MOST_SECONDS = 60  # for one answer
# What says that the process is of no more use: Rondo's word for it, and PyTorch's.
LOST = ("restart the process", "CUDA error", "cudaError")


class Engine:
    """A process that answers a line of options with a line of JSON."""

    def __init__(self, command):
        self.command, self.starts, self.process, self.lines = command, 0, None, None
        self.name, self.missing = None, None
        self.errors = tempfile.TemporaryFile("w+")

    def start(self):
        self.starts += 1
        self.lines = queue.SimpleQueue()
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True, bufsize=1)
        threading.Thread(target=self.read, args=(self.process.stdout, self.lines), daemon=True).start()

    @staticmethod
    def read(stream, lines):
        for line in stream:
            lines.put(line)
        lines.put(None)  # it has ended

    def ask(self, row, seconds):
        """What it answers, or {"error": ...}."""
        if self.missing:
            return {"error": self.missing}
        try:
            if self.process is None:
                self.start()
            self.process.stdin.write(row + "\n")
            self.process.stdin.flush()
            line = self.lines.get(timeout=seconds)
            answer = json.loads(line) if line else {"error": self.last_words()}
        except queue.Empty:
            answer = {"error": f"no answer after {seconds:.0f} s"}
        except (OSError, ValueError) as error:
            answer = {"error": self.last_words() or str(error)}
        error = answer.get("error")
        if error is None:
            self.name = answer["engine"]
        elif "row" not in answer or any(word in error for word in LOST):
            self.stop()
            # Where it has never answered, it will not do so later.
            if self.starts >= MOST_STARTS or self.name is None and "row" not in answer:
                self.missing = error
        return answer

    def last_words(self):
        if self.process is not None:
            try:
                self.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.errors.seek(0)
        lines = self.errors.read().strip().splitlines()
        return lines[-1] if lines else f"it ended without a word, exit status {self.process.poll()}"

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.process = None


def jobs_of(table, device):
    """(what is in the result, the line of options), in the order in which they are timed."""
    for graph in (False, True):
        for row in table["rows"]:
            for mode in table["modes"]:
                for phase in table["phases"]:
                    job = {"name": "{cell} {h}/{n}/{t}".format(**row), "cell": row["cell"], "h": row["h"],
                           "n": row["n"], "t": row["t"], "phase": phase, **mode, "graph": graph}
                    line = ("--cell {cell} --t {t} --n {n} --i {h} --h {h} --phase {phase} --dtype {dtype} "
                            "--math {math} --brief --device ").format(**job) + device
                    yield job, line + (" --graph" if graph else "")


def time_row(engines, line, rounds, deadline):
    """Both engines' answers, by name; fewer rounds where time runs out."""
    answers = {name: [] for name in engines}
    for turn in range(rounds):
        for name in (list(engines) if turn % 2 == 0 else reversed(engines)):
            left = deadline - time.monotonic()
            failed = answers[name] and "error" in answers[name][-1]
            if left > 0 and not failed:
                answers[name].append(engines[name].ask(line, min(max(left, 1), MOST_SECONDS)))
    return answers


def complete(answers):
    """Whether an engine has said what there is to say of a row."""
    return bool(answers) and not answers[-1].get("error", "").startswith("no answer")


def summarize(job, answers):
    row = dict(job)
    for name, all_of_it in answers.items():
        times = [answer["median_us"] for answer in all_of_it if "error" not in answer]
        row[f"{name}_us"] = round(statistics.median(times), 3) if times else None
        row[f"{name}_rounds_us"] = times
        errors = [answer["error"] for answer in all_of_it if "error" in answer]
        if errors:
            row[f"{name}_error"] = errors[0]
        if name == "rondo" and times:
            row["path"] = all_of_it[0].get("path")
        if times:
            row[f"{name}_run"] = all_of_it[0].get("run")
            row[f"{name}_sample"] = all_of_it[0].get("sample")
    both = row.get("rondo_us") and row.get("torch_us")
    row["ratio"] = round(row["torch_us"] / row["rondo_us"], 3) if both else None
    return row


def write(path, results):
    """Whole or not at all, also when the program is stopped while it writes."""
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(json.dumps(results, indent=1) + "\n")
    os.replace(unfinished, path)


def show(row):
    rondo, torch = ("-" if us is None else f"{us:.1f}" for us in (row["rondo_us"], row["torch_us"]))
    print(f"{row['name']:18} {row['phase']:9} {row['dtype']:4} {row['math']:6} "
          f"{'graph' if row['graph'] else 'calls'}  rondo {rondo:>10} us  torch {torch:>10} us  torch/rondo "
          f"{row['ratio'] or '-':>6}  {row.get('path') or row.get('rondo_error')}", flush=True)


def time_all(options):
    table = json.loads(options.rows.read_text())
    engines = {"rondo": Engine([*shlex.split(options.rondo), "rows", "-"]),
               "torch": Engine([*shlex.split(options.torch), "rows", "-"])}
    begin = time.monotonic()
    results = {"origin": table["origin"], "letters": table["letters"], "rounds": options.rounds,
               "engines": {}, "missing": {}, "rows": [], "skipped": []}
    jobs = list(jobs_of(table, options.device))
    try:
        for index, (job, line) in enumerate(jobs):
            if time.monotonic() - begin >= options.seconds:
                results["skipped"] = [other for other, _ in jobs[index:]]
                break
            answers = time_row(engines, line, options.rounds, begin + options.seconds)
            if time.monotonic() - begin >= options.seconds and not all(map(complete, answers.values())):
                results["skipped"] = [other for other, _ in jobs[index:]]
                break
            results["rows"].append(summarize(job, answers))
            show(results["rows"][-1])
            for name, engine in engines.items():
                results["engines"][name] = engine.name
                if engine.missing:
                    results["missing"][name] = engine.missing
            for answer in answers["torch"]:  # its cuDNN need not be the one that Rondo opens
                results["torch_cudnn"] = answer.get("cudnn", results.get("torch_cudnn"))
            if len(results["missing"]) == len(engines):
                raise RuntimeError("; ".join(f"{name}: {why}" for name, why in results["missing"].items()))
            write(options.json, results)
    finally:
        for engine in engines.values():
            engine.stop()
        results["seconds"] = round(time.monotonic() - begin, 1)
        write(options.json, results)
    if not any(results["engines"].values()):
        errors = [row["rondo_error"] for row in results["rows"] if "rondo_error" in row]
        raise RuntimeError(f"nothing was timed: {errors[0] if errors else 'there was no time'}")
    print(f"{len(results['rows'])} rows in {results['seconds']} s, {len(results['skipped'])} skipped")
    for name, why in results["missing"].items():
        print(f"{name} was not timed to the end: {why}")


def main():
    here = pathlib.Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLES,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rondo", required=True, help="the command rondo-bench")
    parser.add_argument("--torch", default=f"{sys.executable} {here / 'peers' / 'pytorch.py'}",
                        help="the other command (default: bench/peers/pytorch.py)")
    parser.add_argument("--rows", type=pathlib.Path, default=here / "deepbench.json",
                        help="the table of rows (default: bench/deepbench.json)")
    parser.add_argument("--json", type=pathlib.Path, required=True, metavar="OUT", help="where to")
    parser.add_argument("--seconds", type=float, default=200, help="the time for all of it (default: 200)")
    parser.add_argument("--rounds", type=int, default=3, help="of each row (default: 3)")
    parser.add_argument("--device", default="cuda", help="cuda or cuda:N")
    try:
        time_all(parser.parse_args())
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        print(f"side_by_side.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
