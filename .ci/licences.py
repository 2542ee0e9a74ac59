"""Whether deny.toml allows the licence of every crate built: `cargo metadata` comes in on standard input."""

import json
import re
import sys
import tomllib


def allowed(expression: str, allow: set[str]) -> bool:
    """Judges an SPDX expression; the `/` of old manifests is OR."""
    words = re.findall(r"[()]|[A-Za-z0-9.+-]+", expression.replace("/", " OR "))

    def either() -> bool:
        verdict = both()
        while words and words[0] == "OR":
            words.pop(0)
            verdict = both() or verdict
        return verdict

    def both() -> bool:
        verdict = one()
        while words and words[0] == "AND":
            words.pop(0)
            verdict = one() and verdict
        return verdict

    def one() -> bool:
        word = words.pop(0)
        if word == "(":
            verdict = either()
            words.pop(0)
            return verdict
        if words and words[0] == "WITH":
            words.pop(0)
            word = f"{word} WITH {words.pop(0)}"
        return word in allow

    return either()


def main() -> int:
    # The judge itself is judged first: a check that cannot fail checks nothing.
    assert allowed("(MIT OR GPL-3.0) AND Zlib", {"MIT", "Zlib"})
    assert not allowed("MIT AND GPL-3.0", {"MIT"})
    assert not allowed("Apache-2.0 WITH LLVM-exception", {"Apache-2.0"})

    with open("deny.toml", "rb") as file:
        allow = set(tomllib.load(file)["licenses"]["allow"])
    crates = json.load(sys.stdin)["packages"]
    refused = [crate for crate in crates if not allowed(crate["license"] or "none", allow)]
    for crate in refused:
        print(f"{crate['name']} {crate['version']}: {crate['license']} is not allowed by deny.toml", file=sys.stderr)
    print(f"{len(crates)} crates, {len(refused)} refused")
    return 1 if refused or not crates else 0


if __name__ == "__main__":
    sys.exit(main())
