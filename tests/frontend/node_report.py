"""Runs every node test of ONNX and prints docs/operators.md: how many of each operator's pass, and what is refused,
with the reason.

python tests/frontend/node_report.py > docs/operators.md        (some five minutes)"""

import re
import sys
import textwrap
from collections import Counter, defaultdict
from pathlib import Path

import onnx

sys.path.insert(0, str(Path(__file__).parent))
from node_cases import load_cases, run_case
from node_exemptions import AGAINST_THE_TEXT, REFUSED

_HEAD = """# Operators

ONNX's own node tests (`onnx.backend.test`, onnx {version}, {total} cases), each imported, compiled in float and run, \
and computed by the NumPy referee as well; both must be what ONNX says.
**{pass} pass, {refused} are refused in one line, {wrong} differ, {traceback} end in a traceback.** \
Operands that say how an operator works (axes, scales, weights of recurrent layers) are constants there, \
as they are in
networks. `OCTET_NODE_CASES=all pytest tests/frontend/test_node_cases.py` demands it of every case; \
this page is what `tests/frontend/node_report.py` prints.
Bodies that ONNX writes out (`_expanded` cases) count for their operator.
{against} are held to ONNX's text, in which `length_resized` is the extent of the result, as it is in ONNX Runtime and \
PyTorch; the arrays of these cases
come of the extent before it is rounded down.
"""


def main():
    outcomes, by_operator, by_reason, unsaid = Counter(), defaultdict(Counter), defaultdict(Counter), Counter()
    for name, case in sorted(load_cases().items()):
        outcome = run_case(case)
        outcomes[outcome.kind] += 1
        by_operator[case.operator][outcome.kind] += 1
        if outcome.not_exported:
            unsaid[re.sub(r"ONNX export: | \(.*?\)", "", outcome.not_exported).partition(": ")[0]] += 1
        if outcome.kind == "refused":
            reason = next(
                (reason for pattern, reason in REFUSED if re.search(pattern, outcome.text)),
                f"**no known reason:** {outcome.text}",
            )
            by_reason[reason][case.operator] += 1
        elif outcome.kind != "pass":
            by_reason[f"**{outcome.kind}:** {name}: {outcome.text}"][case.operator] += 1
    counts = {kind: outcomes[kind] for kind in ("pass", "refused", "wrong", "traceback")}
    against = " and ".join(sorted(f"`{name}`" for name in AGAINST_THE_TEXT))
    print(_HEAD.format(version=onnx.__version__, total=sum(outcomes.values()), against=against, **counts))
    whole = {operator: found["pass"] for operator, found in by_operator.items() if found["pass"] == sum(found.values())}
    part = {operator: found for operator, found in by_operator.items() if found["pass"] < sum(found.values())}
    named = ", ".join(f"{name} {count}" for name, count in sorted(whole.items()))
    print(textwrap.fill(f"All cases pass of {len(whole)} operators: {named}.", 200, break_on_hyphens=False) + "\n")
    print("| operator | pass | of |\n|---|---|---|")
    for name, found in sorted(part.items()):
        print(f"| {name} | {found['pass']} | {sum(found.values())} |")
    print("\n| cases | not computed as ONNX says, because | operators |\n|---|---|---|")
    for reason, found in sorted(by_reason.items(), key=lambda each: -each[1].total()):
        print(f"| {found.total()} | {reason} | {', '.join(sorted(found))} |")
    print(f"\nAll but {unsaid.total()} of those that pass are exported by `octet quantize`, to the same answers.")
    print("The others are refused in one line:\n\n| cases | why they are not exported |\n|---|---|")
    for reason, count in unsaid.most_common():
        print(f"| {count} | {reason} |")


if __name__ == "__main__":
    main()
