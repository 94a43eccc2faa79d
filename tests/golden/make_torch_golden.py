#!/usr/bin/python3
# Makes torch_cases.json and torch_cases.f64: outputs and gradients of random networks, by PyTorch.
"""Runs random recurrent networks in PyTorch (float64, autograd) and stores what came out.

Inputs and parameters are not stored: both sides draw them with SplitMix64 from the case's seed, as
values that a float can hold. The index also keeps how far PyTorch's own float32 run is from its
float64 run, since that is the yardstick for the rounding of a float32 engine.

  make_torch_golden.py           write the two files beside this script
  make_torch_golden.py --check   recompute everything and compare with the two files
"""
import argparse
import json
import math
import os
import random
import sys

import numpy
import torch

FOLDER = os.path.dirname(os.path.abspath(__file__))
INDEX = os.path.join(FOLDER, "torch_cases.json")
VALUES = os.path.join(FOLDER, "torch_cases.f64")
GATES = {"lstm": 4, "gru": 3, "rnn": 1}
MODULES = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}
MAX_VALUES = 1600  # a case's numbers, which keeps the whole file small


class SplitMix64:
    """The generator of tests/random_fill.h."""

    MASK = (1 << 64) - 1

    def __init__(self, seed):
        self.state = seed

    def unit(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & self.MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & self.MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & self.MASK
        return ((z ^ (z >> 31)) >> 11) * 2.0**-53

    def values(self, shape, scale):
        flat = [scale * (2 * self.unit() - 1) for _ in range(math.prod(shape))]
        return numpy.array(flat, numpy.float32).astype(numpy.float64).reshape(shape)

    def mask(self, shape, rate):
        kept = float(numpy.float32(1 / (1 - rate)))
        flat = [0.0 if self.unit() < rate else kept for _ in range(math.prod(shape))]
        return numpy.array(flat).reshape(shape)


def directions(case):
    return {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[case["direction"]]


def output_size(case):
    concat = case["direction"] == "bidirectional" and case["merge"] == "concat"
    return case["h"] * (2 if concat else 1)


def layer_width(case, layer):
    if layer == 0:
        return case["i"]
    apart = case["direction"] == "bidirectional" and case["merge"] == "none"
    return 2 * case["h"] if apart else output_size(case)


def parameter_shapes(case):
    """Name and shape, in the order of the flat array: layer, direction, weights, biases."""
    rows = GATES[case["cell"]] * case["h"]
    biases = {"none": [], "single": ["ih"], "double": ["ih", "hh"]}[case["bias"]]
    found = []
    for layer in range(case["layers"]):
        for reverse in directions(case):
            tail = f"_l{layer}" + ("_reverse" if reverse else "")
            found.append(("weight_ih" + tail, (rows, layer_width(case, layer))))
            found.append(("weight_hh" + tail, (rows, case["h"])))
            found += [(f"bias_{b}" + tail, (rows,)) for b in biases]
    return found


def time_shape(case, width):
    return (case["n"], case["t"], width) if case["batch_major"] else (case["t"], case["n"], width)


def draw_inputs(case, dtype):
    """Everything that goes in, in the order in which the C++ test draws it too."""
    fill = SplitMix64(case["seed"])
    states = (case["layers"] * len(directions(case)), case["n"], case["h"])
    y = (case["n"], output_size(case)) if case["last"] else time_shape(case, output_size(case))
    drawn = {"parameters": [fill.values(s, 1.2 / math.sqrt(case["h"])) for _, s in parameter_shapes(case)]}
    drawn["x"] = fill.values(time_shape(case, case["i"]), 1.5)
    for name, shape in [("h0", states), ("c0", states), ("dy", y), ("dy_reverse", y), ("dh_n", states),
                        ("dc_n", states)]:
        drawn[name] = fill.values(shape, 1.0)
    widths = [layer_width(case, k) for k in range(case["layers"]) for _ in directions(case)]
    drawn["input_masks"] = [fill.mask((case["n"], w), case["dropout"]) for w in widths]
    inner = time_shape(case, layer_width(case, 1))
    drawn["layer_masks"] = [fill.mask(inner, case["layer_dropout"]) for _ in range(case["layers"] - 1)]

    def convert(v):
        return [convert(e) for e in v] if isinstance(v, list) else torch.tensor(v, dtype=dtype)

    return {name: convert(v) for name, v in drawn.items()}


def load(module, case, named, layer, reverse, into):
    """Puts one layer and direction of `named` into the module's layer `into`; returns the pairs."""
    tail = f"_l{layer}" + ("_reverse" if reverse else "")
    pairs = []
    for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        name = f"{kind}_l{into}" + ("_reverse" if reverse else "")
        if not hasattr(module, name):
            continue
        target = getattr(module, name)
        with torch.no_grad():
            target.copy_(named[kind + tail]) if kind + tail in named else target.zero_()
        if kind + tail in named:
            pairs.append((kind + tail, target))
    return pairs


def make_module(case, width, layers, both, dtype):
    extra = {"nonlinearity": case["activation"]} if case["cell"] == "rnn" else {}
    return MODULES[case["cell"]](width, case["h"], num_layers=layers, bias=case["bias"] != "none",
                                 bidirectional=both, dtype=dtype, **extra)


def run_module(case, module, x, h0, c0):
    """x is time-major; returns y (zeros in the padding), h_n and c_n."""
    state = (h0, c0) if case["cell"] == "lstm" else h0
    if case["lengths"] is None:
        y, end = module(x, state)
    else:
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, case["lengths"], enforce_sorted=False)
        y, end = module(packed, state)
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, total_length=case["t"])
    return (y, *end) if case["cell"] == "lstm" else (y, end, None)


def run_whole(case, drawn, named, dtype):
    """The stack as PyTorch's own multi-layer module: the outputs of each direction, h_n and c_n."""
    both = case["direction"] == "bidirectional"
    module = make_module(case, case["i"], case["layers"], both, dtype)
    pairs = []
    for layer in range(case["layers"]):
        for reverse in directions(case):
            pairs += load(module, case, named, layer, reverse, layer)
    y, h_n, c_n = run_module(case, module, drawn["x_time_major"], drawn["h0"], drawn["c0"])
    return list(torch.split(y, case["h"], dim=2)), h_n, c_n, pairs


def run_direction(case, drawn, named, dtype, layer, slot, x):
    """One layer and direction; the reverse one is the second half of a bidirectional module."""
    reverse = directions(case)[slot]
    module = make_module(case, x.shape[2], 1, reverse, dtype)
    pairs = load(module, case, named, layer, reverse, 0)
    k = layer * len(directions(case)) + slot
    h0, c0 = drawn["h0"][k:k + 1], drawn["c0"][k:k + 1]
    if reverse:
        h0, c0 = torch.cat([torch.zeros_like(h0), h0]), torch.cat([torch.zeros_like(c0), c0])
    y, h_n, c_n = run_module(case, module, x, h0, c0)
    half = case["h"] if reverse else 0
    return y[..., half:], h_n[-1:], None if c_n is None else c_n[-1:], pairs


def merge(case, parts):
    if len(parts) == 1:
        return parts[0]
    how = case["merge"]
    if how in ("concat", "none"):
        return torch.cat(parts, dim=-1)
    return parts[0] * parts[1] if how == "mul" else (parts[0] + parts[1]) * (0.5 if how == "ave" else 1)


def run_chain(case, drawn, named, dtype):
    """The stack layer by layer, which admits merges and masks that PyTorch's module lacks."""
    x, h_n, c_n, pairs = drawn["x_time_major"], [], [], []
    for layer in range(case["layers"]):
        parts = []
        for slot in range(len(directions(case))):
            mask = drawn["input_masks"][layer * len(directions(case)) + slot]
            read = x * mask if case["dropout"] else x
            y, h, c, more = run_direction(case, drawn, named, dtype, layer, slot, read)
            parts.append(y)
            h_n.append(h)
            c_n.append(c)
            pairs += more
        if layer + 1 < case["layers"]:
            x = merge(case, parts)
            if case["layer_dropout"]:
                mask = drawn["layer_masks"][layer]
                x = x * (mask.transpose(0, 1) if case["batch_major"] else mask)
    return parts, torch.cat(h_n), None if c_n[0] is None else torch.cat(c_n), pairs


def last_outputs(case, parts):
    """Of each direction, the output of the step that it processes last."""
    lengths = case["lengths"] or [case["t"]] * case["n"]
    rows = torch.arange(case["n"])
    ends = torch.tensor(lengths) - 1
    return [y[0] if reverse else y[ends, rows] for y, reverse in zip(parts, directions(case))]


def run_case(case, dtype):
    drawn = draw_inputs(case, dtype)
    named = {name: v for (name, _), v in zip(parameter_shapes(case), drawn["parameters"])}
    for name in ("h0", "c0"):
        if not case[name]:
            drawn[name] = torch.zeros_like(drawn[name])
    leaves = [drawn["x"], drawn["h0"], drawn["c0"]]
    for leaf in leaves:
        leaf.requires_grad_(True)
    drawn["x_time_major"] = drawn["x"].transpose(0, 1) if case["batch_major"] else drawn["x"]
    run = run_whole if case["whole"] else run_chain
    parts, h_n, c_n, pairs = run(case, drawn, named, dtype)
    if case["last"]:
        parts = last_outputs(case, parts)
    elif case["batch_major"]:
        parts = [p.transpose(0, 1) for p in parts]
    apart = case["direction"] == "bidirectional" and case["merge"] == "none"
    outputs = dict(zip(("y", "y_reverse"), parts)) if apart else {"y": merge(case, parts)}
    outputs["h_n"] = h_n
    if c_n is not None:
        outputs["c_n"] = c_n
    loss = torch.zeros((), dtype=dtype)
    for name, value in outputs.items():
        if case["d" + name.replace("_reverse", "")]:
            loss = loss + (value * drawn["d" + name]).sum()
    loss.backward()
    results = dict(outputs, dx=drawn["x"].grad, dh0=drawn["h0"].grad)
    if c_n is not None:
        results["dc0"] = drawn["c0"].grad
    gradients = {name: target.grad for name, target in pairs}
    results["dparameters"] = torch.cat([gradients[name].reshape(-1) for name, _ in parameter_shapes(case)])
    return {name: v.detach().contiguous().reshape(-1).numpy().astype(numpy.float64)
            for name, v in results.items()}


def count_values(case):
    states = case["layers"] * len(directions(case)) * case["n"] * case["h"]
    per_state = 4 if case["cell"] == "lstm" else 2
    weights = sum(math.prod(s) for _, s in parameter_shapes(case))
    return weights + per_state * states + case["t"] * case["n"] * (case["i"] + output_size(case))


def random_case(pick, number, seed):
    cell = ["lstm", "gru", "rnn"][number % 3]
    whole = pick.random() < 0.5
    direction = pick.choice(["forward", "bidirectional"] if whole
                            else ["forward", "reverse", "bidirectional"])
    case = {
        "name": f"{cell}_{number:02d}", "seed": seed, "cell": cell, "whole": whole, "direction": direction,
        "activation": pick.choice(["tanh", "relu"]) if cell == "rnn" else "tanh",
        "merge": "concat" if whole else pick.choice(["concat", "sum", "mul", "ave", "none"]),
        "bias": pick.choice(["none", "double", "double"] if whole else ["none", "single", "double"]),
        "batch_major": pick.random() < 0.5, "last": pick.random() < 0.25,
        "t": pick.choice([1, 2, 3, 5, 8, 13]), "n": pick.choice([1, 2, 3, 4, 5]),
        "i": pick.randint(1, 7), "h": pick.choice([1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 17]),
        "layers": pick.choice([1, 2, 2, 3]), "lengths": None,
        "dropout": 0 if whole else pick.choice([0, 0.3]),
        "layer_dropout": 0 if whole else pick.choice([0, 0.4, 0.4]),
        "h0": pick.random() < 0.6, "c0": False,
        "dy": pick.random() < 0.8, "dh_n": pick.random() < 0.6, "dc_n": False,
    }
    if cell == "lstm":
        case["c0"], case["dc_n"] = pick.random() < 0.6, pick.random() < 0.6
    if pick.random() < 0.5:
        case["lengths"] = [pick.randint(1, case["t"]) for _ in range(case["n"])]
    if not (case["dh_n"] or case["dc_n"]):
        case["dy"] = True
    if case["merge"] == "none" or case["layers"] == 1:
        case["layer_dropout"] = 0
    return case


def well_scaled(case):
    """Results that are nearly all cancellation say more about luck in rounding than about the engine."""
    return all(not v.any() or numpy.abs(v).max() >= 0.05 for v in run_case(case, torch.float64).values())


def make_cases(count):
    pick = random.Random(20240607)
    cases = []
    while len(cases) < count:
        case = random_case(pick, len(cases), pick.getrandbits(63))
        if count_values(case) <= MAX_VALUES and well_scaled(case):
            cases.append(case)
    return cases


def compute(case):
    """The float64 results, and for each the float32 run's distance relative to the largest value."""
    exact, single = run_case(case, torch.float64), run_case(case, torch.float32)
    distance = {}
    for name, v in exact.items():
        largest = numpy.abs(v).max()
        distance[name] = float(f"{numpy.abs(single[name] - v).max() / largest:.3g}") if largest else 0.0
    return exact, distance


def write(count):
    cases, blocks, start = make_cases(count), [], 0
    for case in cases:
        exact, case["single_distance"] = compute(case)
        case["tensors"] = {}
        for name, v in exact.items():
            case["tensors"][name] = [start, len(v)]
            blocks.append(v)
            start += len(v)
    lines = ",\n".join(json.dumps(case) for case in cases)
    origin = f"PyTorch {torch.__version__}, float64, CPU; made by make_torch_golden.py"
    with open(INDEX, "w") as f:
        f.write(f'{{"origin": {json.dumps(origin)}, "cases": [\n{lines}\n]}}\n')
    numpy.concatenate(blocks).astype("<f8").tofile(VALUES)
    print(f"{len(cases)} cases, {start} values, {os.path.getsize(INDEX) + os.path.getsize(VALUES)} bytes")


def check():
    """Compares with a tolerance, since builds of PyTorch differ in the order of their sums."""
    with open(INDEX) as f:
        cases = json.load(f)["cases"]
    values = numpy.fromfile(VALUES, "<f8")
    worst, bad = 0.0, 0
    for case in cases:
        exact, _ = compute(case)
        for name, (start, size) in case["tensors"].items():
            stored = values[start:start + size]
            distance = numpy.abs(exact[name] - stored).max() / max(numpy.abs(stored).max(), 1e-300)
            worst = max(worst, distance)
            if not distance <= 1e-11:
                bad += 1
                message = f"{case['name']}: {name} differs by {distance:.3g} of its largest value"
                print(message, file=sys.stderr)
    print(f"{len(cases)} cases, largest difference {worst:.3g}: " + ("differs" if bad else "same"))
    return 1 if bad else 0


def main():
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--check", action="store_true", help="compare with the stored files, write nothing")
    parser.add_argument("--count", type=int, default=66, help="cases to make (default 66)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.check:
        return check()
    write(options.count)
    return 0


if __name__ == "__main__":
    sys.exit(main())
