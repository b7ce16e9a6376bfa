"""The tables of what a compilation decided: operators, policy, searches."""

from ..console import decibels, percent, text_table


def print_bfloat16(console, report: dict) -> None:
    """What --float bf16 came to."""
    if not report["layers"]:
        console.print(
            "bfloat16: no layer; convolutions without groups and linear layers take it where they stay in float"
        )
        return
    console.print(
        f"bfloat16: {report['layers']} layers, {report['multiply_adds'] / 1e6:.1f} M multiply-adds of bfloat16 with "
        "sums in fp32"
    )
    for target in report["without_instruction"]:
        console.print(f"bfloat16: {target} has no instruction for it; the same results there, slower than in fp32")


def print_policy(console, policy: dict) -> None:
    """The layers that stay in float because int8 would be slower."""
    if policy["layers"]:
        rows = [
            (layer["name"], layer["operator"], f"{layer['int8_us']:.1f}", f"{layer['float_us']:.1f}")
            for layer in policy["layers"]
        ]
        columns = ("layer", "operator", "int8 us", "float us")
        console.print(
            text_table(
                f"faster in float ({policy['how']}, {policy['target']}); times of a layer with the operators of its "
                "region",
                columns,
                rows,
                right=columns[2:],
            )
        )
        console.print(
            f"conversions: {policy['conversions_int8_us']:.1f} us with all in int8, "
            f"{policy['conversions_chosen_us']:.1f} us as chosen; "
            f"kernels and conversions: {policy['int8_us']:.1f} us, {policy['chosen_us']:.1f} us"
        )
    if policy.get("rejected"):
        console.print(f"all in int8: {len(policy['rejected'])} layers seemed faster in float, but the network was not")
    for network in policy.get("networks", ()):
        console.print(
            f"network on {network['target']}: {network['int8_ms']:.3f} ms with all in int8, "
            f"{network['chosen_ms']:.3f} ms with those in float"
        )


def print_workflow(console, workflow: dict) -> None:
    """What the automatic workflow tried, and what each step recovered."""
    rows = [
        (
            s["name"],
            decibels(s["sqnr_db"]),
            "" if s["drop"] is None else percent(s["drop"]),
            "kept" if s["kept"] else "",
        )
        for s in workflow["steps"]
    ]
    console.print(text_table("accuracy workflow", ("step", "SQNR dB", "drop", ""), rows, right=("SQNR dB", "drop")))
    if workflow.get("resumed"):
        console.print(f"resumed: {workflow['resumed']} measurements of the search before were used again")
    if workflow.get("budget_spent"):
        console.print("the budget ended the search; the same command goes on where it was")
    if workflow["float_operators"]:
        console.print(
            f"left in float: {', '.join(workflow['float_operators'])} ({workflow['float_macs_fraction']:.2%} of the "
            "multiply-adds)"
        )


def print_operators(console, operators: dict) -> None:
    """How many operators run in int8, and why the others do not."""
    console.print(f"operators: {operators['int8']} in int8, {operators['float']} in float")
    grouped: dict[tuple[str, str], list[str]] = {}
    for entry in operators["reasons"]:
        grouped.setdefault((entry["operator"], entry["reason"]), []).append(entry["name"])
    if grouped:
        rows = [(operator, len(names), _some(names), reason) for (operator, reason), names in grouped.items()]
        console.print(text_table("in float", ("operator", "count", "names", "why"), rows, right=("count",)))


def _some(names, most=3):
    return ", ".join(names[:most]) + (f", ... {len(names) - most} more" if len(names) > most else "")
