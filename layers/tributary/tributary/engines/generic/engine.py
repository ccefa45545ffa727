"""Any database that has a dialect of SQLAlchemy 2, read by configuration alone.

The other engines are modules; this one is an object per dialect, with the same functions, because its SQL
depends on the dialect before anything is connected. It knows no list of open transactions, so that
incremental modes need an `overlap`. Keys and bounds are compared by the database alone.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from tributary.engines import statement_errors
from tributary.engines.generic import dialects, types
from tributary.engines.generic.dialects import Dialect
from tributary.engines.generic.types import Type
from tributary.engines.network import close_connection, dial
from tributary.engines.protocol import unsupported
from tributary.errors import (
    ConfigError,
    InternalError,
    QueryCancelled,
    SecretError,
    SourceRefused,
    SourceUnavailable,
    TableRefused,
    TributaryError,
)
from tributary.model.query import Page, Query, ReadColumn
from tributary.model.source_catalog import Clock, Size, SourceColumn, SourceTable, TableName
from tributary.model.types import Kind
from tributary.reading import keyset, values
from tributary.reading.csv_blocks import BLOCK_BYTES
from tributary.secret import Secret

if TYPE_CHECKING:
    import pyarrow
    import sqlalchemy as sa

    Batch = tuple[list[pyarrow.Array], Sequence[str | None]]  # columns, and the texts of the last row

FIRST_ROWS = 500  # of a fetch; later ones have as many rows as fill a block
MOST_ROWS = 50_000
ARROW_ROWS = 20_000
CLOCK_STEP = timedelta(minutes=15)  # no zone is at an offset that is finer
NAIVE = datetime(1970, 1, 1)


@dataclass(slots=True)
class Session:
    """A connection, and how long a statement may take."""

    connection: sa.Connection = field(repr=False)
    where: str
    statement_timeout_s: int
    broken: bool = False

    @property
    def driver(self) -> Any:
        """Return the driver's own connection."""
        return self.connection.connection.driver_connection


def of(name: str) -> GenericEngine:
    """Return the engine of that name; raises ConfigError if the driver's packages are missing."""
    return GenericEngine(dialects.find(name))


class GenericEngine:
    """Reads one kind of database; see the Protocol for what each function promises."""

    INDEX_ENDS_WITH_KEY = False
    OVERLAP_REQUIRED = True

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect

    @property
    def FRACTION_DIGITS(self) -> int:  # noqa: N802 - a constant of the Protocol
        """Return the decimals of a second in a time type."""
        return self.dialect.fraction_digits

    @property
    def GRADE(self) -> str:  # noqa: N802 - a constant of the Protocol
        """Return how far the engine was tested."""
        return self.dialect.grade

    @property
    def ONE_ROW(self) -> str:  # noqa: N802
        """Return the FROM clause of a SELECT without a table."""
        return self.dialect.one_row

    @cached_property
    def compiler(self) -> Any:
        """Return SQLAlchemy's dialect, which compiles statements; needs no driver and no connection."""
        try:
            import sqlalchemy as sa
        except ImportError:
            raise self._not_built() from None
        try:
            compiler: Any = sa.make_url(f"{self.dialect.drivername}://").get_dialect()()
        except (ImportError, sa.exc.NoSuchModuleError):
            raise self._not_built() from None
        compiler.identifier_preparer._double_percents = False  # which compiled statements do themselves
        return compiler

    def _not_built(self) -> ConfigError:
        line = self.dialect.line or f"SQLAlchemy and the packages of {self.dialect.drivername}, pinned"
        return ConfigError(
            f"the drivers layer has no driver for {self.dialect.drivername}; add this to "
            f"layers/drivers/requirements.txt and deploy again: {line} (see docs/databases.md)"
        )

    # --- sessions -------------------------------------------------------------------------------

    def connect(self, secret: Secret, *, statement_timeout_s: int, visible_rows: bool = False) -> Session:
        """Open a session, read-only if the dialect has that; see the Protocol."""
        import sqlalchemy as sa

        if secret.url is not None and self.dialect.drivername.startswith("oracle"):
            secret = _fields_of_url(secret, self._given_url(secret.url.get_secret_value()))
        url = self._url(secret)
        self._check_tls_options(url, secret)
        where = _where(url, self.dialect)
        if secret.host and not secret.url and self.dialect.port:
            close_connection(dial(secret, self.dialect.port))  # so that a wrong address is reported as one
        arguments = self.dialect.connect(secret)
        try:
            engine = sa.create_engine(
                url, connect_args=arguments, poolclass=sa.pool.NullPool, hide_parameters=True
            )
            connection = engine.connect()
        except (ImportError, sa.exc.NoSuchModuleError):
            raise self._not_built() from None
        except Exception as error:  # a driver may raise what it likes; its text could show the password
            raise self._refused(error, where) from None
        session = Session(connection, where, statement_timeout_s)
        try:
            self._pin(session)
        except BaseException:
            self.close(session)
            raise
        return session

    def _pin(self, session: Session) -> None:
        """Set what the dialect pins in each session."""
        import sqlalchemy as sa

        limits = {"ms": 1000 * session.statement_timeout_s, "s": session.statement_timeout_s}
        with self._statements(session, None):
            if self.dialect.prepare is not None:
                self.dialect.prepare(session.driver)
            for pin in self.dialect.pins:
                self._execute(session, pin.format(**limits))
            for pin in self.dialect.tried_pins:
                with suppress(sa.exc.DBAPIError):
                    self._execute(session, pin.format(**limits))
            session.connection.commit()

    def _url(self, secret: Secret) -> Any:
        import sqlalchemy as sa

        if secret.url is not None:
            return self._given_url(secret.url.get_secret_value())
        if self.dialect.drivername.startswith("oracle"):  # whose place is given by `connect`
            return sa.URL.create(
                self.dialect.drivername,
                secret.username,
                secret.password.get_secret_value(),
                query={
                    name: secret.url_options[name] for name in secret.url_options if name != "service_name"
                },
            )
        if self.dialect.drivername.startswith("sqlite"):
            if not secret.dbname:
                raise SecretError('the secret has no "dbname"; write the path of the SQLite file there')
            file = Path(secret.dbname).absolute().as_uri().replace("file://", "file:")
            return sa.URL.create(self.dialect.drivername, database=file, query={"mode": "ro", "uri": "true"})
        return sa.URL.create(
            self.dialect.drivername,
            secret.username or None,
            secret.password.get_secret_value() or None,
            secret.host or None,
            secret.port or (self.dialect.port if secret.host else None) or None,
            secret.dbname or None,
            {**self.dialect.url_query, **secret.url_options},
        )

    def _given_url(self, text: str) -> Any:
        """Return the secret's URL; raises SecretError, which shows no part of it."""
        import sqlalchemy as sa

        if text.count("@") > 1:  # SQLAlchemy would take a part of the password for the host
            raise SecretError(
                'the secret\'s "url" has more than one @; write the characters @ : / ? # % of a user name, a '
                "password or an option in percent form: %40 for @"
            )
        try:
            url = sa.make_url(text)
        except (sa.exc.ArgumentError, ValueError):  # ValueError: a port that is no number
            raise SecretError('the secret\'s "url" is not a URL of SQLAlchemy') from None
        mine = self.dialect.drivername.partition("+")[0]
        if url.get_backend_name() != mine:
            raise SecretError(f'the secret\'s "url" is for another database; it must begin with {mine}')
        return url.set(drivername=self.dialect.drivername)

    def _check_tls_options(self, url: Any, secret: Secret) -> None:
        """Refuse driver options that would change what `sslmode` sets."""
        if not self.dialect.sslmode_sets_tls:
            return
        given = {name.lower(): name for name in (*url.query, *secret.url_options)}
        if wrong := sorted(given[name] for name in given.keys() & dialects.TLS_OPTIONS):
            raise SecretError(
                f'the secret sets the driver\'s option "{wrong[0]}", and TLS is set by its "sslmode" alone; '
                'take the option out and write "sslmode" (verify-full, require or disable)'
            )

    def close(self, session: Session) -> None:
        """Close the session; never raises."""
        with suppress(Exception):
            session.connection.close()
        with suppress(Exception):
            session.connection.engine.dispose()

    # --- errors: a driver's errors become ours here and nowhere else ----------------------------

    def _refused(self, error: Exception, where: str) -> TributaryError:
        if isinstance(error, TributaryError):
            return error
        code = _code(error)
        if _means(code, ("IOException",)):
            return SourceUnavailable(
                f"{where} cannot be opened ({code}): its file is missing, or another process has it open; "
                "check dbname in the secret"
            )
        if _means(code, BUSY):
            return SourceUnavailable(f"{where} has no connection free ({code}); lower max_connections")
        return SourceRefused(
            f"{where} refused the connection ({code}); check username, password, dbname and url_options "
            "in the secret, and the TLS of both sides"
        )

    @contextmanager
    def _statements(self, session: Session, table: TableName | None) -> Iterator[None]:
        """Bound the statement's time, and turn its errors into ours."""
        timed_out = threading.Event()
        cancel = getattr(session.driver, self.dialect.cancel, None) if self.dialect.cancel else None

        def stop() -> None:
            timed_out.set()
            with suppress(Exception):
                cancel()  # type: ignore[misc]

        watch = threading.Timer(session.statement_timeout_s, stop) if cancel else None
        if watch:
            watch.daemon = True
            watch.start()
        try:
            yield
        except (TributaryError, GeneratorExit):
            raise
        except Exception as error:
            ours = self._reduced(session, error, str(table or "a table"), timed_out=timed_out.is_set())
            session.broken = isinstance(ours, SourceUnavailable)
            raise ours from None
        finally:
            if watch:
                watch.cancel()

    def _reduced(self, session: Session, error: Exception, table: str, *, timed_out: bool) -> TributaryError:
        code, where = _code(error), session.where
        if timed_out or _means(code, CANCELLED):
            return QueryCancelled(f"a query on {table} took longer than its time-out ({code})")
        if _means(code, FORBIDDEN):
            return statement_errors.forbidden(table, code)
        if _means(code, GONE):
            return statement_errors.gone(table, code)
        if getattr(error, "connection_invalidated", False) or _means(code, BROKEN):
            return statement_errors.unavailable(where, table, code)
        if not self._is_drivers(error):
            return InternalError(f"{type(error).__name__} in a query on {table}")
        return TableRefused(f"{where} rejected a query on {table} ({code})")

    def _is_drivers(self, error: Exception) -> bool:
        import sqlalchemy as sa

        module = type(error).__module__.partition(".")[0]
        return isinstance(error, sa.exc.DBAPIError) or module not in ("builtins", "sqlalchemy", "pyarrow")

    # --- SQL text -------------------------------------------------------------------------------

    def quote(self, *names: str) -> str:
        """Return the dotted, quoted identifier; see the Protocol."""
        shown = names if self.dialect.has_schemas else names[-1:]
        return ".".join(self.compiler.identifier_preparer.quote_identifier(name) for name in shown)

    def literal(self, text: str, type: str) -> str:
        """Return the SQL literal of a value's own text; see the Protocol."""
        from tributary.engines.generic import statements

        return statements.literal(text, self._row(type).kind, self.dialect)

    def rendered(self, name: str, type: str) -> str:
        """Return the column: its text is made of the driver's value."""
        return self.quote(name)

    def create_index(self, name: str, table: TableName, columns: Sequence[str]) -> str:
        """Return the statement that creates an index."""
        listed = ", ".join(map(self.quote, columns))
        return f"CREATE INDEX {self.quote(name)} ON {self.quote(table.schema, table.table)} ({listed})"

    def select(self, query: Query) -> str:
        """Return the SELECT of the query with plain columns."""
        from tributary.engines.generic import statements

        plain = [statements.selected(column, "", self.compiler) for column in query.columns]
        relation = keyset.relation(query.table, query.sql, self.quote)
        statement = statements.page(query, relation, plain, self.compiler, self.dialect)
        return str(statement.compile(dialect=self.compiler, compile_kwargs={"render_postcompile": True}))

    def _read_as(self, column: ReadColumn) -> str:
        """Return how the column is selected: the database writes the text of one that is taken as text."""
        if self.dialect.stores_any:
            return ""
        try:
            row = self._row(column.type)
        except LookupError:
            return self.dialect.text_cast
        if column.kind.name == "text" and row.kind.name not in ("text", "json"):
            return row.select if row.kind.name == "uuid" else self.dialect.text_cast
        return self.dialect.text_cast if row.select == types.TEXT_CAST else row.select

    # --- types ----------------------------------------------------------------------------------

    def _row(self, type: str) -> Type:
        return types.known(type, self.dialect.types)

    def kind(self, column: SourceColumn) -> Kind:
        """Return the kind of the column's type; raises UnsupportedType with the type's name."""
        try:
            return self._row(column.type).kind
        except LookupError:
            raise unsupported(column, column.type or "no type") from None

    def orders(self, type: str) -> bool:
        """Return whether values of that type are compared exactly when they are bound again."""
        try:
            row = self._row(type)
        except LookupError:
            return False
        return row.orders and row.kind.name not in types.UNORDERED

    # --- reading --------------------------------------------------------------------------------

    def ask(self, session: Session, sql: str) -> tuple[str | None, ...] | None:
        """Return the first row of a small query as texts, None without a row."""
        from tributary.engines.generic.columns import as_text

        rows = self._rows(session, sql, at_most=1)
        if not rows:
            return None
        return tuple(None if value is None else as_text(value).decode(errors="replace") for value in rows[0])

    def _rows(self, session: Session, sql: str, *, at_most: int | None = None) -> list[tuple[Any, ...]]:
        with self._statements(session, None), _transaction(session):
            result = self._execute(session, sql)
            if not result.returns_rows:
                return []
            rows = result.fetchall() if at_most is None else result.fetchmany(at_most)
            result.close()
            return [tuple(row) for row in rows]

    def _execute(self, session: Session, sql: str) -> Any:
        return session.connection.exec_driver_sql(sql, execution_options={"no_parameters": True})

    def read(self, session: Session, query: Query) -> Generator[Page]:
        """Run the query as one statement and yield its rows; see the Protocol."""
        from tributary.engines.generic import statements

        chosen = [
            statements.selected(column, self._read_as(column), self.compiler) for column in query.columns
        ]
        types_of = {column.name: column.type for column in query.columns}
        for name in keyset.order(query):
            if not self.orders(types_of[name]):
                raise TableRefused(
                    f'column "{name}" of {query.table} has type {types_of[name]}, by which rows cannot be '
                    "read; choose another key or cursor"
                )
        relation = keyset.relation(query.table, query.sql, self.quote)
        statement = statements.page(query, relation, chosen, self.compiler, self.dialect)
        with self._statements(session, query.table), _transaction(session):
            if self.dialect.begin:
                self._execute(session, self.dialect.begin)
            batches = _arrow_batches if self.dialect.arrow else self._object_batches
            yield from _pages(query, batches(session, query, statement))

    def _object_batches(self, session: Session, query: Query, statement: sa.Select[Any]) -> Iterator[Batch]:
        """Yield columns of the driver's objects; each fetch has as many rows as fill a block."""
        from tributary.engines.generic import columns

        result = session.connection.execute(
            statement, execution_options={"stream_results": True, "max_row_buffer": 1}
        )
        count = FIRST_ROWS
        while rows := result.fetchmany(count):  # not the cursor's own, of which SQLAlchemy read ahead
            read = list(zip(*rows, strict=True))
            arrays = [
                columns.of_objects(column, described, self.dialect)
                for column, described in zip(read, query.columns, strict=True)
            ]
            _check_length(query, arrays)
            yield arrays, _last_texts(query, rows[-1])
            row_bytes = max(1, sum(array.nbytes for array in arrays) // len(rows))
            count = max(1, min(MOST_ROWS, BLOCK_BYTES // row_bytes, 4 * count))

    # --- catalog --------------------------------------------------------------------------------

    def _catalog(self, session: Session) -> dict[TableName, SourceTable]:
        from tributary.engines.generic import catalog

        keys = self._rows(session, self.dialect.keys) if self.dialect.keys else []
        return catalog.from_rows(self.dialect, self._rows(session, self.dialect.columns), keys)

    def list_tables(self, session: Session) -> list[TableName]:
        """Return every table and view outside the system's schemas, in name order."""
        from tributary.engines.generic import catalog

        if self.dialect.columns:
            return sorted(self._catalog(session))
        with self._statements(session, None), _transaction(session):
            return catalog.list_tables(session.connection, self.dialect)

    def hidden_tables(self, session: Session) -> list[TableName]:
        """Return no table: which ones a user may not read is not known in all databases alike."""
        return []

    def describe(self, session: Session, names: Collection[TableName]) -> dict[TableName, SourceTable]:
        """Return the named tables by the catalog, or by reflection; missing ones are left out."""
        from tributary.engines.generic import catalog

        if not names:
            return {}
        if self.dialect.columns:
            described = self._catalog(session)
            return {name: described[name] for name in names if name in described}
        with self._statements(session, None), _transaction(session):
            return catalog.reflected(session.connection, self.dialect, names)

    def describe_query(self, session: Session, name: TableName, sql: str) -> SourceTable:
        """Refuse: the types of a query's columns are not known in all databases alike.

        A query that the source rejects is refused with the source's reason.
        """
        self._rows(session, f"SELECT COUNT(*) FROM (\n{sql}\n) t WHERE 1 = 0", at_most=1)
        raise TableRefused(
            f"query {name}: the types of a query are not known through SQLAlchemy; create a view in the "
            "source and name that"
        )

    def sizes(self, session: Session, names: Collection[TableName]) -> dict[TableName, Size]:
        """Return nothing: tables are not divided here."""
        return {}

    def key_range_ends(
        self, session: Session, table: TableName, key: Sequence[ReadColumn], count: int
    ) -> list[tuple[str, ...]]:
        """Return nothing: how to sample keys differs from one database to the next."""
        return []

    # --- clock ----------------------------------------------------------------------------------

    def clock(self, session: Session) -> Clock:
        """Read the source's clock; open transactions are not known."""
        rows = self._rows(session, f"SELECT CURRENT_TIMESTAMP{self.dialect.one_row}", at_most=1)
        read = rows[0][0] if rows else None
        if isinstance(read, str):
            read = datetime.fromisoformat(read)
        if not isinstance(read, datetime):
            raise InternalError(f"{session.where} returned no time for its clock")
        here = datetime.now(UTC)
        in_zone = self.dialect.utc_sessions or self.dialect.stores_any  # SQLite's clock is in UTC
        now = read.replace(tzinfo=read.tzinfo or UTC) if in_zone else in_utc(read, here)
        return Clock(now, None, "its open transactions are not known")

    def foreign(self, session: Session, names: Collection[TableName]) -> set[TableName]:
        """Return no table: no transaction is known of any."""
        return set()

    def counter_horizon(self, session: Session, type: str) -> str | None:
        """Return None: no such counter is known."""
        return None


def in_utc(read: datetime, here: datetime) -> datetime:
    """Return a server's clock in UTC.

    A time without a zone is in one that is unknown: that which is nearest to our own clock, in steps of 15
    minutes, which is every zone's.
    """
    if read.tzinfo is not None:
        return read.astimezone(UTC)
    ahead = read.replace(tzinfo=UTC) - here
    return read.replace(tzinfo=UTC) - round(ahead / CLOCK_STEP) * CLOCK_STEP


def _fields_of_url(secret: Secret, url: Any) -> Secret:
    """Return a secret with the URL's parts in its fields, for a driver that has TLS by arguments only."""
    query = {name: value if isinstance(value, str) else value[-1] for name, value in url.query.items()}
    service = query.pop("service_name", "")
    sid = {"sid": url.database} if url.database else {}
    parts = {"host": url.host or "", "port": url.port, "dbname": service, "username": url.username or ""}
    password = SecretStr(str(url.password or ""))
    return secret.model_copy(
        update={**parts, "password": password, "url_options": {**query, **sid}, "url": None}
    )


def _where(url: Any, dialect: Dialect) -> str:
    """Return the database for messages: host and port, or its dialect."""
    if url.host:
        return f"{url.host}:{url.port}" if url.port else str(url.host)
    return f"the {dialect.name} database"


@contextmanager
def _transaction(session: Session) -> Iterator[None]:
    """End the transaction that a statement began."""
    try:
        yield
    finally:
        with suppress(Exception):
            session.connection.rollback()


def _last_texts(query: Query, row: Sequence[Any]) -> list[str | None]:
    """Return the texts of the columns that order the rows, None for every other."""
    from tributary.engines.generic.columns import as_text

    ordered = set(keyset.order(query))
    texts: list[str | None] = []
    for value, column in zip(row, query.columns, strict=True):
        try:
            plain = value.as_py() if column.name in ordered and hasattr(value, "as_py") else value
        except (OverflowError, ValueError):  # an infinite date
            raise values.refused(query, column, "date_out_of_range") from None
        shown = column.name in ordered and plain is not None
        texts.append(as_text(plain).decode(errors="surrogateescape") if shown else None)
    return texts


def _pages(query: Query, batches: Iterator[Batch]) -> Iterator[Page]:
    for arrays, last in batches:
        position = keyset.position(query, last) if query.order else None
        size_bytes = sum(array.nbytes for array in arrays)
        yield Page(len(arrays[0]), position, size_bytes, partial(values.parse, query, arrays))


def _arrow_batches(session: Session, query: Query, statement: sa.Select[Any]) -> Iterator[Batch]:
    """Yield the columns that DuckDB gives in Arrow: no object is made of a value.

    Its own connection runs the statement that SQLAlchemy compiled: only so does it stream.
    """
    from tributary.engines.generic import columns

    compiled: Any = statement.compile(
        dialect=session.connection.dialect, compile_kwargs={"render_postcompile": True}
    )
    bound = compiled.construct_params()
    parameters = [bound[name] for name in compiled.positiontup or ()]
    with session.driver.sql(str(compiled), params=parameters).to_arrow_reader(ARROW_ROWS) as reader:
        for batch in reader:
            if not batch.num_rows:
                continue
            last = _last_texts(query, [column[-1] for column in batch.columns])
            arrays = [
                columns.of_arrow(read, described)
                for read, described in zip(batch.columns, query.columns, strict=True)
            ]
            _check_length(query, arrays)
            yield arrays, last


def _check_length(query: Query, arrays: Sequence[pyarrow.Array]) -> None:
    """Refuse a row that is longer than the query's bound, by its longest value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for place, array in enumerate(arrays):
        if pa.types.is_binary(array.type) or pa.types.is_string(array.type):
            longest = pc.max(pc.binary_length(array)).as_py() or 0
            if longest > query.longest_bytes:
                raise values.too_long(query, place)


# --- codes of drivers ---------------------------------------------------------------------------

CANCELLED = ("57014", "1969", "3024", "1317", "ORA-01013", "SQL0952N", "ABORTED", "Interrupt")
FORBIDDEN = ("42501", "1142", "1143", "1044", "ORA-01031", "SQL0551N", "Permission")
GONE = (
    *("42P01", "42703", "42S02", "1146", "1054", "1051", "ORA-00942", "ORA-00904", "SQL0204N", "SQL0206N"),
    *("Catalog", "no such table", "no such column"),
)
BROKEN = (
    *("08000", "08001", "08003", "08006", "57P01", "57P02", "57P03", "2006", "2013", "1927", "ORA-03113"),
    *(
        "ORA-03114",
        "ORA-03135",
        "DPY-4011",
        "DPY-1001",
        "SQL30081N",
        "InterfaceError",
        "NetworkError",
        "IOException",
    ),
)
BUSY = ("53300", "1040", "1203", "ORA-00018", "ORA-00020", "ORA-12516", "ORA-12519")


def _means(code: str, known: Sequence[str]) -> bool:
    """Return whether one of an error's codes begins as a known one does."""
    return any(part.startswith(tuple(known)) for part in code.split(", "))


CODE = re.compile(
    r"ORA-\d{5}|DPY-\d{4}|SQL\d{4,5}[NCW]|SQLSTATE[ =]*\w{5}|no such (?:table|column)|\bCode: \d+"
)


def _code(error: BaseException) -> str:
    """Return the driver's code of an error, else its class: never its text, which may hold values."""
    orig = getattr(error, "orig", None) or error
    codes = [type(orig).__name__]
    for name in ("sqlstate", "pgcode", "sqlcode", "sqlite_errorname"):
        held = getattr(orig, name, None)
        if isinstance(held, str | int) and held != "":
            codes.append(str(held))
    first = orig.args[0] if getattr(orig, "args", ()) else None
    if isinstance(first, dict) and "C" in first:  # pg8000
        codes.append(str(first["C"]))
    elif isinstance(first, int):
        codes.append(str(first))
    match = CODE.search(str(orig))
    if match:
        codes.append(match[0])
    return ", ".join(dict.fromkeys(codes))
