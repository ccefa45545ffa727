"""SQL text as tokens, with Redshift's rules for names, strings and comments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NoReturn

from local.redshift.errors import Refused
from local.redshift.names import fold
from local.redshift.words import DECLARED

Kind = Literal["word", "quoted", "string", "number", "parameter", "operator", "end"]

TOKEN = re.compile(
    r"""
    (?P<space>\s+ | --[^\n]* | /\*.*?\*/)
  | (?P<string>'(?:[^'\\] | '' | \\.)*')
  | (?P<quoted>"(?:[^"] | "")+")
  | (?P<number>(?:\d+(?:\.\d*)? | \.\d+)(?:[eE][+-]?\d+)?)
  | (?P<word>[^\W\d][\w$]*)
  | (?P<operator>:: | \|\| | <= | >= | <> | != | !~ | [-+*/%^<>=~!@#&|?.,;()\[\]])
  | (?P<parameter>:[0-9a-zA-Z_]+)
  | (?P<bad>.)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of SQL: its text, and its name or keyword if it can be one."""

    kind: Kind
    text: str

    @property
    def name(self) -> str:
        """Return the identifier, folded; only for words and quoted names."""
        return fold(self.text[1:-1].replace('""', '"') if self.kind == "quoted" else self.text)

    @property
    def word(self) -> str:
        """Return the keyword in upper case, or '' if it cannot be one."""
        return self.text.upper() if self.kind == "word" else ""

    @property
    def string(self) -> str:
        """Return the value of a string literal; a backslash escapes, as in PostgreSQL 8.0."""
        return re.sub(r"''|\\(.)", lambda m: m[1] or "'", self.text[1:-1], flags=re.DOTALL)

    def is_(self, text: str) -> bool:
        """Say whether this is the operator or the unquoted keyword."""
        return self.word == text if text[0].isalpha() else self.kind == "operator" and self.text == text

    @property
    def is_name(self) -> bool:
        """Say whether this can be an identifier."""
        return self.kind in ("word", "quoted")


END = Token("end", "")


def tokens(sql: str) -> list[Token]:
    """Return the statement's tokens without blanks, comments and closing semicolon.

    Raises Refused for an unfinished string or a second statement.
    """
    result: list[Token] = []
    for match in TOKEN.finditer(sql):
        kind = match.lastgroup
        if kind == "space":
            continue
        if kind == "bad":
            raise _unreadable(match[0], sql[match.start() :])
        result.append(Token(kind, match[0]))  # type: ignore[arg-type]
    while result and result[-1].is_(";"):
        result.pop()
    if any(token.is_(";") for token in result):
        raise Refused("cannot insert multiple commands into a prepared statement")
    return result


def _unreadable(character: str, rest: str) -> Refused:
    if character == "'":
        return Refused(f'unterminated quoted string at or near "{rest}"')
    if character == '"':
        return Refused(f'unterminated quoted identifier at or near "{rest}"')
    return Refused(f'syntax error at or near "{character}"')


class Reader:
    """A position in a list of tokens, for grammars that are read from left to right."""

    def __init__(self, source: list[Token]) -> None:
        self._tokens = source
        self._at = 0

    def peek(self, ahead: int = 0) -> Token:
        """Return the next token without passing it."""
        place = self._at + ahead
        return self._tokens[place] if place < len(self._tokens) else END

    def next(self) -> Token:
        """Return the next token and pass it."""
        token = self.peek()
        if token is END:
            self.unexpected()
        self._at += 1
        return token

    def sees(self, *texts: str) -> bool:
        """Say whether exactly these keywords and operators come next."""
        return all(self.peek(ahead).is_(text) for ahead, text in enumerate(texts))

    def take(self, *texts: str) -> bool:
        """Pass these keywords and operators if all of them come next; return whether they did."""
        if not self.sees(*texts):
            return False
        self._at += len(texts)
        return True

    def take_any(self, *texts: str) -> str:
        """Pass one of the keywords and return it, '' if none comes next."""
        return next((text for text in texts if self.take(text)), "")

    def expect(self, *texts: str) -> None:
        """Pass these keywords and operators; anything else is a syntax error."""
        for text in texts:
            if not self.take(text):
                self.unexpected()

    def unexpected(self) -> NoReturn:
        """Raise the syntax error at the next token."""
        token = self.peek()
        if token is END:
            raise Refused("syntax error at end of input")
        raise Refused(f'syntax error at or near "{token.text}"')

    def name(self) -> Token:
        """Pass an identifier: a quoted one, or a word that is not reserved."""
        token = self.peek()
        if not token.is_name or token.word in DECLARED:
            self.unexpected()
        return self.next()

    def dotted(self) -> list[Token]:
        """Pass a name with its schema, and return its identifiers."""
        parts = [self.name()]
        while self.take("."):
            parts.append(self.name())
        return parts

    def string(self) -> Token:
        """Pass a string literal."""
        if self.peek().kind != "string":
            self.unexpected()
        return self.next()

    def number(self) -> int:
        """Pass a whole number, with its sign."""
        sign = -1 if self.take("-") else 1
        if not self.peek().text.isdigit():
            self.unexpected()
        return sign * int(self.next().text)

    def parens(self) -> list[Token]:
        """Pass a balanced parenthesis and return what is inside."""
        self.expect("(")
        inside: list[Token] = []
        depth = 1
        while True:
            token = self.next()
            depth += token.is_("(") - token.is_(")")
            if depth == 0:
                return inside
            inside.append(token)

    def until(self, *stops: str) -> list[Token]:
        """Pass and return everything before one of the stops outside parentheses, or before the end."""
        passed: list[Token] = []
        depth = 0
        while (token := self.peek()) is not END:
            if depth == 0 and any(token.is_(stop) for stop in stops):
                break
            depth += token.is_("(") - token.is_(")")
            if depth < 0:
                self.unexpected()
            passed.append(self.next())
        return passed

    def rest(self) -> list[Token]:
        """Pass and return the rest."""
        left, self._at = self._tokens[self._at :], len(self._tokens)
        return left

    def ahead(self) -> Reader:
        """Return another reader at this position; this one does not move with it."""
        other = Reader(self._tokens)
        other._at = self._at
        return other

    def end(self) -> None:
        """Require the end."""
        if self.peek() is not END:
            self.unexpected()


def split(source: list[Token], separator: str = ",") -> list[list[Token]]:
    """Return the parts between separators outside parentheses."""
    reader = Reader(source)
    parts = [reader.until(separator)]
    while reader.take(separator):
        parts.append(reader.until(separator))
    reader.end()
    return parts
