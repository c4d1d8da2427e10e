"""Languages by file name, and what two texts share."""

from __future__ import annotations

# The paper's ten languages (Table 1). `.h` is C or C++, by the repository.
LANGUAGES = {
    ".go": "go",
    ".py": "python",
    ".java": "java",
    **dict.fromkeys((".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx"), "cpp"),
    **dict.fromkeys((".kt", ".kts"), "kotlin"),
    **dict.fromkeys((".ts", ".tsx", ".mts", ".cts"), "typescript"),
    **dict.fromkeys((".js", ".jsx", ".mjs", ".cjs"), "javascript"),
    ".c": "c",
    ".rs": "rust",
    ".lua": "lua",
}


def language(path: str, header: str | None = "c") -> str | None:
    """The language of a file by its suffix; `header` is what `.h` means. None for any other."""
    name = path.rpartition("/")[2]
    suffix = name[name.rfind(".") :].lower() if "." in name[1:] else ""
    return header if suffix == ".h" else LANGUAGES.get(suffix)


def common_prefix(a: str, b: str) -> int:
    """How many characters the two texts share at the start."""
    shorter = min(len(a), len(b))
    return next((i for i in range(shorter) if a[i] != b[i]), shorter)
