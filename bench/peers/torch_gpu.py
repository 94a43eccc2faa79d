#!/usr/bin/env python3
"""PyTorch on a GPU beside Rondo: the options of rondo-bench, and the same line of JSON.

Weights, input and the gradient of the outputs are random as in rondo-bench, weights in PyTorch's initial
range, which saturates no gate. A run of inference is the forward pass in eval mode under no_grad; of training
gradients set to None, forward, and backward from a given gradient of the outputs to the parameters, the input
and the initial state; of step: T calls of one time step each. Samples are taken as bench/timing.h says.
"""
import argparse
import json
import math
import shlex
import statistics
import sys
import time

EXAMPLES = """examples:
  torch_gpu.py shape --cell lstm --t 25 --n 32 --i 1024 --h 1024 --phase training --math tf32
  torch_gpu.py shape --cell gru --t 375 --n 32 --i 1536 --h 1536 --dtype bf16 --graph
  torch_gpu.py rows rows.txt      # a line of shape's options for each row; - reads them from stdin
"""


class Parser(argparse.ArgumentParser):
    """Raises instead of leaving the program, so that a bad row does not end those that follow."""

    def error(self, message):
        raise ValueError(message)


def whole(text):
    if not text.isdecimal() or not 1 <= int(text) <= 1 << 31:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return int(text)


def add_shape_options(parser):
    parser.add_argument("--cell", choices=["lstm", "gru", "rnn"], default="lstm")
    parser.add_argument("--t", type=whole, default=100, help="steps")
    parser.add_argument("--n", type=whole, default=1, help="rows of the batch")
    parser.add_argument("--i", type=whole, default=128, help="input size")
    parser.add_argument("--h", type=whole, default=128, help="hidden size")
    parser.add_argument("--layers", type=whole, default=1)
    parser.add_argument("--bidirectional", action="store_true")
    parser.add_argument("--phase", choices=["inference", "training", "step"], default="inference")
    parser.add_argument("--threads", type=whole, default=1, help="threads of the host")
    parser.add_argument("--device", default="cuda", help="cuda or cuda:N")
    parser.add_argument("--dtype", choices=["f32", "f64", "f16", "bf16"], default="f32")
    parser.add_argument("--math", choices=["strict", "tf32"], default="strict",
                        help="whether products of f32 may be TF32")
    parser.add_argument("--graph", action="store_true", help="time replays of a CUDA graph of one run")
    parser.add_argument("--brief", action="store_true", help="samples for 0.15 s instead of 0.5 s")


def check(options):
    kind, _, index = options.device.partition(":")
    if kind != "cuda" or (":" in options.device and not index.isdecimal()):
        raise ValueError(f"--device is {options.device}, expected cuda or cuda:N")
    if options.math == "tf32" and options.dtype != "f32":
        raise ValueError(f"--math is tf32 with --dtype {options.dtype}, expected strict: "
                         "tf32 is for products of f32")
    return options


def flops(o):
    """As bench/shape_options.cpp counts them."""
    gates = {"lstm": 4, "gru": 3, "rnn": 1}[o.cell]
    directions = 2 if o.bidirectional else 1
    inputs = sum(o.h + (o.i if layer == 0 else directions * o.h) for layer in range(o.layers))
    forward = 2.0 * o.t * o.n * gates * o.h * inputs * directions
    return 3 * forward if o.phase == "training" else forward


class Network:
    """One shape, ready to be run."""

    def __init__(self, torch, options, device):
        self.torch, self.options, self.device = torch, options, device
        self.allow_tf32 = self.set_math()
        torch.manual_seed(1)
        dtype = {"f32": torch.float32, "f64": torch.float64, "f16": torch.float16,
                 "bf16": torch.bfloat16}[options.dtype]
        module = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[options.cell]
        self.rnn = module(options.i, options.h, options.layers, bidirectional=options.bidirectional)
        self.rnn = self.rnn.to(device=device, dtype=dtype)
        self.rnn.flatten_parameters()
        self.rnn.train(options.phase == "training")
        directions = 2 if options.bidirectional else 1

        def uniform(bound, *shape):
            return torch.empty(shape, device=device).uniform_(-bound, bound).to(dtype)

        steps = 1 if options.phase == "step" else options.t
        self.x = uniform(1, steps, options.n, options.i)
        self.dy = uniform(0.01, options.t, options.n, directions * options.h)
        states = [torch.zeros(options.layers * directions, options.n, options.h, device=device, dtype=dtype)
                  for _ in range(2 if options.cell == "lstm" else 1)]
        self.state = tuple(states) if options.cell == "lstm" else states[0]
        self.leaves = [self.x, *states, *self.rnn.parameters()]
        if options.phase == "training":
            for leaf in self.leaves:
                leaf.requires_grad_(True)
        calls = {"inference": self.infer, "training": self.train, "step": self.step}
        self.run = calls[options.phase]
        self.what = {"inference": "forward", "training": "gradients to None, forward, backward",
                     "step": "T calls of one step"}[options.phase]
        if options.graph:
            self.what = "replay of a CUDA graph of: " + self.what
            self.run = self.captured()

    def set_math(self):
        """Strict is about f32. For bf16 PyTorch takes the same switch as leave to use tensor cores at all."""
        allow = self.options.math == "tf32" or self.options.dtype in ("f16", "bf16")
        self.torch.backends.cudnn.allow_tf32 = allow
        self.torch.backends.cuda.matmul.allow_tf32 = allow
        return allow

    def infer(self):
        with self.torch.no_grad():
            self.rnn(self.x)

    def train(self):
        for leaf in self.leaves:
            leaf.grad = None
        y, _ = self.rnn(self.x, self.state)
        y.backward(self.dy)

    def step(self):
        state = self.state
        with self.torch.no_grad():
            for _ in range(self.options.t):
                _, state = self.rnn(self.x, state)

    def captured(self):
        cuda = self.torch.cuda
        stream = cuda.Stream(self.device)
        stream.wait_stream(cuda.current_stream(self.device))
        with cuda.stream(stream):  # PyTorch wants a few runs on a stream of their own before a capture
            for _ in range(3):
                self.run()
        cuda.current_stream(self.device).wait_stream(stream)
        graph = cuda.CUDAGraph()
        with cuda.graph(graph):
            self.run()
        return graph.replay

    def finish(self):
        self.torch.cuda.synchronize(self.device)


def measure(network, brief):
    """bench/timing.h's Effort on a GPU, in seconds."""
    warm_up, warm_up_runs = (0.03, 2) if brief else (0.1, 3)
    enough, enough_samples = (0.15, 5) if brief else (0.5, 20)
    slow, slow_samples = (0.4, 1) if brief else (5, 5)
    sample = 0.002
    clock, begin, fastest, runs = time.perf_counter, time.perf_counter(), math.inf, 0
    while runs < warm_up_runs or (clock() - begin < warm_up and runs < 100000):
        start = clock()
        network.run()
        network.finish()
        fastest = min(fastest, clock() - start)
        runs += 1
    runs_per_sample = max(1, math.ceil(sample / fastest))
    samples, begin = [], clock()
    while not (len(samples) >= enough_samples and clock() - begin >= enough
               or len(samples) >= slow_samples and clock() - begin >= slow):
        start = clock()
        for _ in range(runs_per_sample):
            network.run()
        network.finish()
        samples.append((clock() - start) / runs_per_sample)
    return samples, runs_per_sample


def result(network):
    torch, o = network.torch, network.options
    samples, runs = measure(network, o.brief)
    median_us = statistics.median(samples) * 1e6
    return {
        "engine": "pytorch " + torch.__version__, "cell": o.cell, "phase": o.phase, "t": o.t, "n": o.n,
        "i": o.i, "h": o.h, "layers": o.layers, "bidirectional": o.bidirectional, "dtype": o.dtype,
        "math": o.math, "median_us": round(median_us, 3), "min_us": round(min(samples) * 1e6, 3),
        "samples": len(samples), "gflops": round(flops(o) / median_us / 1000, 3),
        "device": str(network.device), "device_name": torch.cuda.get_device_name(network.device), "isa": "",
        "threads": o.threads, "run": network.what, "graph": o.graph,
        "sample": f"{runs} run{'' if runs == 1 else 's'} and one synchronisation",
        "cudnn": torch.backends.cudnn.version(), "cuda": torch.version.cuda, "allow_tf32": network.allow_tf32,
    }


def open_torch():
    try:
        import torch
    except ImportError as error:
        raise RuntimeError(f"there is no PyTorch in {sys.executable} ({error})")
    if not torch.cuda.is_available():
        raise RuntimeError(f"PyTorch {torch.__version__} of {sys.executable} sees no GPU")
    return torch


def make_network(torch, options):
    index = int(options.device.partition(":")[2] or 0)
    if index >= torch.cuda.device_count():
        raise RuntimeError(f"--device is {options.device}, and PyTorch sees {torch.cuda.device_count()} GPUs")
    torch.cuda.set_device(index)
    torch.set_num_threads(options.threads)
    return Network(torch, options, torch.device("cuda", index))


def run_rows(torch, rows):
    """As rondo-bench rows: a line of options in, a line of JSON out; the same row again finds all ready."""
    before, network = None, None
    parser = Parser(prog="row", add_help=False)
    add_shape_options(parser)
    for row in rows:
        row = row.rstrip("\n")
        if not row.strip():
            continue
        try:
            if row != before or network is None:
                before, network = row, None
                torch.cuda.empty_cache()
                network = make_network(torch, check(parser.parse_args(shlex.split(row))))
            line = result(network)
        except Exception as error:  # whatever it is, the next row is tried
            network, line = None, {"error": f"{type(error).__name__}: {error}", "row": row}
        print(json.dumps(line), flush=True)


def main():
    parser = Parser(prog="torch_gpu.py", description=__doc__, epilog=EXAMPLES,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=Parser)
    add_shape_options(commands.add_parser("shape", help="one shape; prints one line of JSON"))
    rows = commands.add_parser("rows", help="many shapes; prints one line of JSON each, or {\"error\": ...}")
    rows.add_argument("FILE", help="a file with the options of shape on each line; - is stdin")
    try:
        options = parser.parse_args()
        if options.command == "shape":
            check(options)
    except ValueError as error:
        print(f"torch_gpu.py: {error} (see --help)", file=sys.stderr)
        return 2
    try:
        torch = open_torch()
        if options.command == "shape":
            print(json.dumps(result(make_network(torch, options))))
        elif options.FILE == "-":
            run_rows(torch, sys.stdin)
        else:
            with open(options.FILE, encoding="utf-8") as file:
                run_rows(torch, file)
    except (RuntimeError, OSError) as error:
        print(f"torch_gpu.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
