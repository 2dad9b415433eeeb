"""What the scripts of this folder share: the headers of a source tree, their text, and how findings are reported."""
import contextlib
import pathlib
import re
import sys
import tempfile

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]', re.M)
COMMENT_OR_LITERAL = re.compile(r"""//[^\n]*|/\*.*?\*/|'(?:\\.|[^'\\\n])'|"(?:\\.|[^"\\\n])*\"""", re.S)


def headers(root):
    """{name as programs include it: text} of every public header."""
    base = pathlib.Path(root) / "include"
    return {path.relative_to(base).as_posix(): path.read_text(encoding="utf-8") for path in sorted(base.rglob("*.hpp"))}


def code(text):
    """The text without comments and the content of literals, its lines kept."""

    def blank(match):
        found = match.group(0)
        if found.startswith("//"):
            return ""
        return found[0] * 2 if found[0] in "'\"" else "\n" * found.count("\n")

    return COMMENT_OR_LITERAL.sub(blank, text)


def lines_with(pattern, text):
    return [number for number, line in enumerate(text.splitlines(), 1) if re.search(pattern, line)]


def report(findings, what):
    for finding in findings:
        print(finding)
    print(f"{what}: {len(findings)} findings")
    sys.exit(1 if findings else 0)


@contextlib.contextmanager
def planted(files):
    """A source tree that holds exactly these files, for the self-tests."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = pathlib.Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        yield pathlib.Path(folder)


def self_test(check, sound, bad):
    """`sound` gives no finding; each of `bad`, {what is wrong: (file, text)}, added to it gives at least one."""
    with planted(sound) as root:
        found = check(root)
        if found:
            sys.exit(f"a sound tree gives findings: {found}")
    for wrong, (name, text) in bad.items():
        with planted({**sound, name: text}) as root:
            if not check(root):
                sys.exit(f"not found: {wrong}")
    print(f"{len(bad)} planted faults found")
