"""What the lints share: the house's folders and files. Not a lint itself."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
FOLDERS = "base config kafka event fold plugin store task worker admin cli".split()
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+(?:"([^"]+)"|<([^>]+)>)', re.M)


def files(*folders, suffixes=(".c", ".h", ".cc")):
    return sorted(path for folder in folders or ["src"] for path in (ROOT / folder).rglob("*") if path.suffix in suffixes)


def name(path):
    return path.relative_to(ROOT).as_posix()


def includes(path):
    """(line, header, is in quotes) of each include."""
    text = path.read_text()
    return [(text.count("\n", 0, match.start()) + 1, match[1] or match[2], match[1] is not None) for match in INCLUDE.finditer(text)]


def code(path):
    """The text with comments and literals blanked, line for line."""
    pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\''
    return re.sub(pattern, lambda match: re.sub(r"[^\n]", " ", match[0]), path.read_text(), flags=re.S)


def report(problems, checked):
    """Ends the lint. One that checked nothing is broken itself."""
    if not checked:
        sys.exit("nothing was checked")
    for problem in problems:
        print(problem)
    print(f"{checked} checked, {len(problems)} problems")
    sys.exit(1 if problems else 0)
