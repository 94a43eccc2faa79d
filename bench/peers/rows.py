"""What every peer in Python shares: the options of rondo-bench, how a time is taken, lines in and lines out."""
import argparse
import json
import math
import shlex
import statistics
import sys
import time


class Parser(argparse.ArgumentParser):
    """Raises instead of leaving the program, so that a bad row does not end those that follow."""

    def error(self, message):
        raise ValueError(message)


def whole(text):
    if not text.isdecimal() or not 1 <= int(text) <= 1 << 31:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return int(text)


def positive(text):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.001 <= value <= 600:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0.001 to 600")
    return value


def add_shape_options(parser, device):
    parser.add_argument("--cell", choices=["lstm", "gru", "rnn"], default="lstm")
    parser.add_argument("--t", type=whole, default=100, help="steps")
    parser.add_argument("--n", type=whole, default=1, help="rows of the batch")
    parser.add_argument("--i", type=whole, default=128, help="input size")
    parser.add_argument("--h", type=whole, default=128, help="hidden size")
    parser.add_argument("--layers", type=whole, default=1)
    parser.add_argument("--bidirectional", action="store_true")
    parser.add_argument("--phase", choices=["inference", "training", "step"], default="inference")
    parser.add_argument("--threads", type=whole, default=1, help="threads of the host")
    parser.add_argument("--device", default=device, help=f"default: {device}")
    parser.add_argument("--dtype", choices=["f32", "f64", "f16", "bf16"], default="f32")
    parser.add_argument("--math", choices=["strict", "tf32"], default="strict",
                        help="whether products of f32 may be TF32")
    parser.add_argument("--graph", action="store_true", help="time replays of a CUDA graph of one run")
    parser.add_argument("--brief", action="store_true", help="samples for 0.15 s instead of 0.5 s")
    parser.add_argument("--seconds", type=positive, default=0, help="samples for so long instead")
    parser.add_argument("--once", choices=["memory"],
                        help="instead of times, in a process that has run nothing: the bytes by which it grows")


def gates(options):
    return {"lstm": 4, "gru": 3, "rnn": 1}[options.cell]


def flops(o):
    """As bench/shape_options.cpp counts them."""
    directions = 2 if o.bidirectional else 1
    inputs = sum(o.h + (o.i if layer == 0 else directions * o.h) for layer in range(o.layers))
    forward = 2.0 * o.t * o.n * gates(o) * o.h * inputs * directions
    return 3 * forward if o.phase == "training" else forward


def effort(options):
    """bench/timing.cpp's, in seconds: of the warm-up, of the samples and, when a run is slow, of fewer samples,
    each with how many at least."""
    if options.seconds:
        warm_up = max(options.seconds / 2, 0.05 if options.threads > 1 else 0)
        return warm_up, 3, options.seconds, 5, 4 * options.seconds, 1
    return (0.03, 2, 0.15, 5, 0.4, 1) if options.brief else (0.1, 3, 0.5, 20, 5, 5)


def measure(run, finish, sample, options):
    """A sample is of as many runs as take `sample` together."""
    warm_up, warm_up_runs, enough, enough_samples, slow, slow_samples = effort(options)
    clock, begin, fastest, runs = time.perf_counter, time.perf_counter(), math.inf, 0
    while runs < warm_up_runs or (clock() - begin < warm_up and runs < 100000):
        start = clock()
        run()
        finish()
        fastest = min(fastest, clock() - start)
        runs += 1
    runs_per_sample = max(1, math.ceil(sample / fastest))
    samples, begin = [], clock()
    while not (len(samples) >= enough_samples and clock() - begin >= enough
               or len(samples) >= slow_samples and clock() - begin >= slow):
        start = clock()
        for _ in range(runs_per_sample):
            run()
        finish()
        samples.append((clock() - start) / runs_per_sample)
    return samples, runs_per_sample


def result(options, samples, more):
    """The line of rondo-bench, with what the peer says of itself."""
    o, median_us = options, statistics.median(samples) * 1e6
    return {
        "cell": o.cell, "phase": o.phase, "t": o.t, "n": o.n, "i": o.i, "h": o.h, "layers": o.layers,
        "bidirectional": o.bidirectional, "dtype": o.dtype, "math": o.math,
        "median_us": round(median_us, 3), "min_us": round(min(samples) * 1e6, 3), "samples": len(samples),
        "gflops": round(flops(o) / median_us / 1000, 3), "threads": o.threads, "graph": o.graph, **more,
    }


def resident_bytes(name):
    """VmRSS, or VmHWM, the most of it so far."""
    with open("/proc/self/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(name + ":"))


class Peer:
    """What a peer defines: its name, the device that rows have by default, and these."""

    name, device = "", "cpu"

    def version(self):
        """RuntimeError says why it cannot run."""
        raise NotImplementedError

    def check(self, options):
        """ValueError for what it does not have; without the engine."""
        raise NotImplementedError

    def prepare(self, options):
        """A network ready to be run; ValueError for what it cannot be."""
        raise NotImplementedError

    def time(self, network, options):
        """The line of a result."""
        raise NotImplementedError

    def grown_bytes(self, options):
        """As bench/once.h says of memory."""
        raise ValueError(f"{self.name} does not measure memory")

    def answer(self, network, options):
        if options.once:
            return {"once": options.once, "value": self.grown_bytes(options)}
        return self.time(network, options)


def run_rows(peer, rows):
    """As rondo-bench rows: a line of options in, a line of JSON out; the same row again finds all ready."""
    before, network, options = None, None, None
    parser = Parser(prog="row", add_help=False)
    add_shape_options(parser, peer.device)
    for row in rows:
        row = row.rstrip("\n")
        if not row.strip():
            continue
        try:
            if row != before or network is None:
                before, network = row, None
                options = parser.parse_args(shlex.split(row))
                peer.check(options)
                network = None if options.once else peer.prepare(options)
            line = peer.answer(network, options)
        except Exception as error:  # whatever it is, the next row is tried
            network, line = None, {"error": f"{type(error).__name__}: {error}", "row": row}
        print(json.dumps(line), flush=True)


def run_program(peer, description, examples):
    program = peer.name + ".py"
    parser = Parser(prog=program, description=description, epilog=examples,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=Parser)
    add_shape_options(commands.add_parser("shape", help="one shape; prints one line of JSON"), peer.device)
    rows = commands.add_parser("rows", help="many shapes; prints one line of JSON each, or {\"error\": ...}")
    rows.add_argument("FILE", help="a file with the options of shape on each line; - is stdin")
    commands.add_parser("about", help="one line of JSON: name and version")
    try:
        options = parser.parse_args()
        if options.command == "shape":
            peer.check(options)
    except ValueError as error:
        print(f"{program}: {error} (see --help)", file=sys.stderr)
        return 2
    try:
        version = peer.version()
        if options.command == "about":
            print(json.dumps({"name": peer.name, "version": version}))
        elif options.command == "shape":
            network = None if options.once else peer.prepare(options)
            print(json.dumps(peer.answer(network, options)))
        elif options.FILE == "-":
            run_rows(peer, sys.stdin)
        else:
            with open(options.FILE, encoding="utf-8") as file:
                run_rows(peer, file)
    except ValueError as error:
        print(f"{program}: {error} (see --help)", file=sys.stderr)
        return 2
    except (RuntimeError, OSError) as error:
        # A program that asks reads the reason on the output.
        print(f"{program}: {error}", file=sys.stdout if options.command == "about" else sys.stderr)
        return 1
    return 0
