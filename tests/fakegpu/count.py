"""`python count.py COMMAND …`: xtra-bench on the fake device, then which graphs it launched, how often, and their main nodes.

For example: python tests/fakegpu/count.py perf train efficientzero --updates 2 --transitions 400 --peak-tflops 1
"""

import fakegpu
from rehearse import rehearse

MOST_NAMES = 12


def main() -> None:
    fakegpu.reset()
    try:
        rehearse()
    finally:
        report = fakegpu.report()
        for name, launches in report["ran"].items():
            if name.startswith("graph of "):
                print(f"{name}, launched {launches} times")
        common = sorted(report["captured"].items(), key=lambda entry: -entry[1])[:MOST_NAMES]
        for name, (_, nodes) in zip(fakegpu.demangled([name for name, _ in common]), common, strict=True):
            print(f"{nodes:6} nodes  {name[:110]}")


if __name__ == "__main__":
    main()
