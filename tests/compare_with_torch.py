#!/usr/bin/python3
# Compares `rondo run` and `rondo grad` with PyTorch on random networks, each saved as a file.
"""Draws random networks, has PyTorch save each (its state_dict, as safetensors or NPZ) and compute outputs
and gradients in float64 and float32, and has `rondo run` and `rondo grad` compute the same from the files.

A result may differ from PyTorch's float64 by the larger of 4 (backward 8) times ceil(log2 K) roundings, K
being the longest sum, and 4 times what PyTorch's own float32 differs, relative to the tensor's largest value.

  tests/compare_with_torch.py                        20 networks, by build/release/tools/rondo/rondo
  tests/compare_with_torch.py --count 200 --seed 7
  tests/compare_with_torch.py --seed 7 --only 31     the one that failed, again; its files are kept
"""
import argparse
import json
import math
import os
import random
import shlex
import struct
import subprocess
import sys
import tempfile

import numpy
import torch

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = os.path.join(ROOT, "build", "release", "tools", "rondo", "rondo")
GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
EPSILON = {"f32": 2.0**-23, "f64": 2.0**-52}
SMALLEST = {"f32": 2.0**-126, "f64": 2.0**-1022}
NUMPY = {"f32": numpy.float32, "f64": numpy.float64}


def draw_case(seed, index):
    pick = random.Random(f"{seed} {index}")
    case = {
        "cell": pick.choice(list(GATES)), "i": pick.randint(1, 20), "h": pick.randint(1, 24),
        "layers": pick.choice([1, 1, 2, 3]), "bidirectional": pick.random() < 0.5,
        "bias": pick.random() < 0.8,
        "t": pick.randint(1, 14), "n": pick.randint(1, 6), "batch_first": pick.random() < 0.4,
        "dtype": pick.choice(["f32", "f64"]), "npz": pick.random() < 0.4, "states": pick.random() < 0.6,
        "final": pick.random() < 0.6, "prefix": pick.choice(["", "rnn.", "encoder.lstm."]),
        "draw": pick.getrandbits(32), "lengths": None,
    }
    projects = case["cell"] == "lstm" and case["h"] > 1 and pick.random() < 0.4
    case["p"] = pick.randint(1, case["h"] - 1) if projects else 0
    if pick.random() < 0.5:
        case["lengths"] = [pick.randint(1, case["t"]) for _ in range(case["n"])]
    return case


def make_module(case):
    torch.manual_seed(case["draw"])
    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}.get(case["cell"], torch.nn.RNN)
    more = {"nonlinearity": case["cell"][4:]} if kind is torch.nn.RNN else {}
    if case["p"]:
        more = {"proj_size": case["p"]}
    module = kind(case["i"], case["h"], case["layers"], bias=case["bias"], batch_first=case["batch_first"],
                  bidirectional=case["bidirectional"], **more)
    return module if case["dtype"] == "f32" else module.double()


def state_size(case):
    return case["p"] or case["h"]


def draw_arrays(case):
    """Inputs and the gradients from above, as float64 that the case's type holds exactly."""
    draw = numpy.random.default_rng(case["draw"])
    directions = 2 if case["bidirectional"] else 1
    first = (case["n"], case["t"]) if case["batch_first"] else (case["t"], case["n"])
    stacked = (case["layers"] * directions, case["n"])
    shapes = {"x": first + (case["i"],), "dy": first + (directions * state_size(case),)}
    for names, there in ((("h0", "c0"), case["states"]), (("dh_n", "dc_n"), case["final"])):
        for name in names:
            if there and (case["cell"] == "lstm" or name not in ("c0", "dc_n")):
                shapes[name] = stacked + (case["h"] if name in ("c0", "dc_n") else state_size(case),)
    return {name: draw.normal(size=shape).astype(NUMPY[case["dtype"]]).astype(numpy.float64)
            for name, shape in shapes.items()}


def run_torch(case, module, arrays, dtype):
    """Outputs, and gradients of sum(y dy) + sum(h_n dh_n) + sum(c_n dc_n) by autograd; all as float64."""
    twin = make_module(case).to(dtype)
    twin.load_state_dict({name: value.to(dtype) for name, value in module.state_dict().items()})
    inputs = {name: torch.tensor(value, dtype=dtype) for name, value in arrays.items()}
    lstm, directions = case["cell"] == "lstm", 2 if case["bidirectional"] else 1
    h_zeros, c_zeros = (torch.zeros(case["layers"] * directions, case["n"], width, dtype=dtype)
                        for width in (state_size(case), case["h"]))
    x, h0, c0 = inputs["x"], inputs.get("h0", h_zeros), inputs.get("c0", c_zeros)
    for leaf in (x, h0, c0):
        leaf.requires_grad_()
    fed = x
    if case["lengths"]:
        fed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(case["lengths"]), enforce_sorted=False,
                                                      batch_first=case["batch_first"])
    y, final = twin(fed, (h0, c0) if lstm else h0)
    if case["lengths"]:
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=case["batch_first"],
                                                      total_length=case["t"])
    h_n, c_n = final if lstm else (final, c_zeros)
    loss = (y * inputs["dy"]).sum()
    for name, value in (("dh_n", h_n), ("dc_n", c_n)):
        if name in inputs:
            loss = loss + (value * inputs[name]).sum()
    loss.backward()
    forward, backward = {"y": y, "h_n": h_n}, {"dx": x.grad, "dh0": h0.grad}
    if lstm:
        forward["c_n"], backward["dc0"] = c_n, c0.grad
    for name, parameter in twin.named_parameters():
        backward[case["prefix"] + name] = parameter.grad
    return [{name: value.detach().double().numpy() for name, value in each.items()}
            for each in (forward, backward)]


def save_model(case, module, path):
    tensors = {case["prefix"] + name: value.numpy() for name, value in module.state_dict().items()}
    if case["npz"]:
        numpy.savez_compressed(path, **tensors) if case["draw"] % 2 else numpy.savez(path, **tensors)
        return
    header, data = {}, b""
    for name, value in tensors.items():
        header[name] = {"dtype": case["dtype"].upper(), "shape": list(value.shape),
                        "data_offsets": [len(data), len(data) + value.nbytes]}
        data += value.tobytes()
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def commands(case, module, arrays, folder, program):
    """Writes the files; the two calls of the program, and where their results will lie."""
    model = os.path.join(folder, "model.npz" if case["npz"] else "model.safetensors")
    save_model(case, module, model)
    path = {}
    for name, value in arrays.items():
        path[name] = os.path.join(folder, name + ".npy")
        numpy.save(path[name], value.astype(NUMPY[case["dtype"]]))
    shared = ["--device", "cpu"]
    if case["cell"] == "rnn_relu":
        shared += ["--cell", "rnn_relu"]
    if case["batch_first"]:
        shared += ["--batch-first"]
    if case["lengths"]:
        path["lengths"] = os.path.join(folder, "lengths.npy")
        kind = numpy.int32 if case["draw"] % 2 else numpy.int64
        numpy.save(path["lengths"], numpy.array(case["lengths"], kind))
    forward = [f"--{name}={path[name]}" for name in ("h0", "c0", "lengths") if name in path]
    final = [f"--{name.replace('_', '-')}={path[name]}" for name in ("dh_n", "dc_n") if name in path]
    out = [os.path.join(folder, name) for name in ("out.npz", "gradients.npz")]
    return [([program, "run", model, path["x"], "-o", out[0]] + shared + forward, out[0]),
            ([program, "grad", model, path["x"], path["dy"], "-o", out[1]] + shared + forward + final,
             out[1])]


def longest_sum(case, backward):
    directions, h = 2 if case["bidirectional"] else 1, case["h"]
    k = h + max([case["i"]] + [directions * h] * (case["layers"] > 1))
    return max(k, directions * GATES[case["cell"]] * h, case["t"] * case["n"]) if backward else k


def compare(case, got, exact, single, backward):
    """The largest error as a fraction of what is allowed, and where it is."""
    if set(got) != set(exact):
        return math.inf, f"the names {sorted(got)}, expected {sorted(exact)}"
    worst, where = 0.0, "none"
    depth = math.ceil(math.log2(max(longest_sum(case, backward), 2)))
    rounding = 4 * (2 if backward else 1) * depth * EPSILON[case["dtype"]]
    for name, truth in exact.items():
        value = got[name]
        if value.shape != truth.shape or value.dtype != NUMPY[case["dtype"]]:
            return math.inf, f"{name} {value.dtype} {value.shape}, expected {case['dtype']} {truth.shape}"
        largest = max(numpy.abs(truth).max(), math.sqrt(SMALLEST[case["dtype"]]))
        own = numpy.abs(single[name] - truth).max() / largest * EPSILON[case["dtype"]] / EPSILON["f32"]
        fraction = numpy.abs(value - truth).max() / largest / max(rounding, 4 * own)
        if not numpy.isfinite(fraction):
            return math.inf, name
        if fraction > worst:
            worst, where = float(fraction), name
    return worst, where


def check_case(case, folder, program):
    module = make_module(case)
    arrays = draw_arrays(case)
    exact = run_torch(case, module, arrays, torch.float64)
    single = run_torch(case, module, arrays, torch.float32)
    worst = (0.0, "none")
    for i, (command, out) in enumerate(commands(case, module, arrays, folder, program)):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return math.inf, f"exit status {done.returncode} of {shlex.join(command)}: {done.stderr.strip()}"
        with numpy.load(out) as file:
            got = {name: file[name] for name in file.files}
        worst = max(worst, compare(case, got, exact[i], single[i], backward=i == 1), key=lambda w: w[0])
    return worst


def main():
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--count", type=int, default=20, help="networks (default 20)")
    parser.add_argument("--seed", type=int, default=1, help="of the draw (default 1)")
    parser.add_argument("--only", type=int, help="this network of the draw alone")
    parser.add_argument("--rondo", default=PROGRAM, help="the program (default: that of build/release)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    bad, worst = 0, (0.0, "none")
    indexes = range(options.count) if options.only is None else [options.only]
    for index in indexes:
        case = draw_case(options.seed, index)
        if options.only is None:
            with tempfile.TemporaryDirectory() as folder:
                found = check_case(case, folder, options.rondo)
        else:
            folder = tempfile.mkdtemp()
            found = check_case(case, folder, options.rondo)
            print(f"{json.dumps(case)}\nfiles in {folder}")
        worst = max(worst, found, key=lambda w: w[0])
        if not found[0] <= 1:
            bad += 1
            print(f"network {index}: {found[0]:.3g} of the tolerance: {found[1]}\n  again: "
                  f"{sys.argv[0]} --seed {options.seed} --only {index}", file=sys.stderr)
    print(f"{len(indexes)} networks against PyTorch {torch.__version__}: {bad} differ; largest error "
          f"{worst[0]:.3f} of the tolerance ({worst[1]})")
    return 1 if bad or not indexes else 0


if __name__ == "__main__":
    sys.exit(main())
