"""Reading a line of shell as far as it is plain, to judge each command in it.

What is not plain (substitutions, control flow, functions, assignments, here-documents) is a doubt:
nothing is concluded from such a line but that its commands, as far as they can be seen, may be
forbidden ones. A shell need not agree with a reader that is cleverer than this.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_ENDS: Final = ("&&", "||", ";;", "|&", ";", "|", "&", "\n", "(", ")")
_WRITES: Final = ("&>>", "&>", ">>", ">|", ">&", ">")
_KEYWORDS: Final = frozenset(
    {
        "!", "{", "}", "[[", "]]", "case", "coproc", "do", "done", "elif", "else", "esac", "fi",
        "for", "function", "if", "in", "select", "then", "time", "until", "while",
    }
)  # fmt: skip
_NOWHERE: Final = frozenset({"/dev/null", "/dev/stdout", "/dev/stderr"})
_DEEPEST: Final = 8


@dataclass
class ShellLine:
    """The commands of a line as words, the files that it writes, and what made it unclear.

    Words are without their quotes; a variable stands in them as it was written.
    """

    commands: list[list[str]] = field(default_factory=list[list[str]])
    writes: list[str] = field(default_factory=list[str])
    doubts: list[str] = field(default_factory=list[str])

    @property
    def changes_directory(self) -> bool:
        """Whether names behind a command may be relative to another directory than before."""
        return any(words[0] in {"cd", "pushd", "popd"} for words in self.commands)


def read_shell_line(text: str) -> ShellLine:
    """Return what can be seen in a text that a shell is to run."""
    line = ShellLine()
    _Reader(text, line, 0).read()
    return line


class _Reader:
    """Goes through a text once, character by character."""

    def __init__(self, text: str, line: ShellLine, depth: int) -> None:
        self._text = text
        self._line = line
        self._depth = depth
        self._at = 0
        self._words: list[str] = []
        self._word: str | None = None
        self._redirects: str | None = None

    def read(self) -> None:
        while self._at < len(self._text):
            self._step()
        self._end_command()

    def _step(self) -> None:
        char = self._text[self._at]
        if char in " \t":
            self._at += 1
            self._end_word()
        elif char == "#" and self._word is None:
            end = self._text.find("\n", self._at)
            self._at = len(self._text) if end < 0 else end
        elif not self._operator():
            self._piece(char)

    def _operator(self) -> bool:
        write = self._starts(_WRITES)
        if write:
            self._redirection(write)
            return True
        if self._text.startswith("<", self._at):
            self._input()
            return True
        end = self._starts(_ENDS)
        if not end:
            return False
        if end in {"(", ")", ";;"}:
            self._doubt(f"it holds {end}")
        self._at += len(end)
        self._end_command()
        return True

    def _starts(self, operators: tuple[str, ...]) -> str:
        return next((one for one in operators if self._text.startswith(one, self._at)), "")

    def _redirection(self, operator: str) -> None:
        if self._text.startswith(">(", self._at):
            self._doubt("it holds a substitution")
        self._at += len(operator)
        if self._word is not None and self._word.isdecimal():
            self._word = None  # the number of a descriptor
        self._end_word()
        self._redirects = operator

    def _input(self) -> None:
        if self._text.startswith(("<<", "<("), self._at):
            self._doubt("it holds a here-document or a substitution")
        if self._word is not None and self._word.isdecimal():
            self._word = None
        self._at += 1
        self._end_word()
        self._redirects = "<"

    def _piece(self, char: str) -> None:
        """Take a part of a word."""
        if char == "'":
            self._add(self._until("'"))
        elif char == '"':
            self._double_quoted()
        elif char == "\\":
            following = self._text[self._at + 1 : self._at + 2]
            self._at += 2
            if following != "\n":
                self._add(following)
        elif char in "$`":
            self._expansion()
        else:
            if not char.isprintable():
                self._doubt("it holds control characters")
            self._at += 1
            self._add(char)

    def _double_quoted(self) -> None:
        self._at += 1
        self._add("")
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == '"':
                self._at += 1
                return
            if char == "\\":
                following = self._text[self._at + 1 : self._at + 2]
                self._at += 2
                if following != "\n":
                    self._add(following if following in '$`"\\' else f"\\{following}")
            elif char in "$`":
                self._expansion()
            else:
                self._at += 1
                self._add(char)
        self._doubt("a quote does not end")

    def _until(self, quote: str) -> str:
        """Return what stands behind a quote up to the next one."""
        end = self._text.find(quote, self._at + 1)
        if end < 0:
            self._doubt("a quote does not end")
            end = len(self._text)
        inside = self._text[self._at + 1 : end]
        self._at = end + 1
        return inside

    def _expansion(self) -> None:
        """Take a variable as it is written; look into a substitution, and doubt."""
        following = self._text[self._at + 1 : self._at + 2]
        if self._text[self._at] == "`":
            self._look_into(self._until("`"))
        elif following == "(":
            self._look_into(self._inside_parentheses())
        else:
            if not (following.isalnum() or following in {"_", "", " ", '"', "?", "/", "."}):
                self._doubt("it holds an expansion")
            self._at += 1
            self._add("$")

    def _inside_parentheses(self) -> str:
        start, depth, at = self._at + 2, 1, self._at + 2
        while at < len(self._text) and depth:
            depth += {"(": 1, ")": -1}.get(self._text[at], 0)
            at += 1
        self._at = at
        return self._text[start : at - 1 if not depth else at]

    def _look_into(self, text: str) -> None:
        """Collect the commands of a substitution: they may be forbidden ones."""
        self._doubt("it holds a substitution")
        self._add("$")
        if self._depth < _DEEPEST:
            _Reader(text, self._line, self._depth + 1).read()

    def _add(self, text: str) -> None:
        self._word = (self._word or "") + text

    def _end_word(self) -> None:
        word, self._word = self._word, None
        if word is None:
            return
        operator, self._redirects = self._redirects, None
        if operator is None:
            self._words.append(word)
        elif operator == "<" or (operator == ">&" and (word.isdecimal() or word == "-")):
            return
        elif word not in _NOWHERE:
            self._line.writes.append(word)

    def _end_command(self) -> None:
        self._end_word()
        words, self._words = self._words, []
        if self._redirects is not None:
            self._doubt("a redirection has no target")
            self._redirects = None
        if not words:
            return
        first = words[0]
        if first in _KEYWORDS:
            self._doubt(f"it holds {first}")
        elif "=" in first:
            self._doubt("it sets a variable")
        self._line.commands.append(words)

    def _doubt(self, why: str) -> None:
        if why not in self._line.doubts:
            self._line.doubts.append(why)
