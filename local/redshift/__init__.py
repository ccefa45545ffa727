"""Amazon Redshift's Data API on PostgreSQL: a stand-in that refuses what Redshift refuses.

It is a WSGI application (`DataApi`) that speaks the API's JSON to any AWS client. Statements run
asynchronously, each call in a PostgreSQL session of its own, in the database `warehouse`.

How it is made
- `api`, `requests`, `answers`: the API's operations, what a request may hold, what is told back.
- `statements`, `session`: statements under way and the sessions they run in.
- `grammar` with `definitions`, `tables`, `alter`, `columns`, `merge`, `copy_command`, `policies`: Redshift's
  grammar, each statement read and turned into PostgreSQL's (`translation`); `lexer`, `rewrite`, `names`,
  `words`: what these are made of.
- `loading`, `parquet`, `loads`: COPY at work, its rules for types, and the system views of loads; `external`:
  external schemas and tables, whose partitions are read as they are added.
- `functions.sql`, `catalog.sql`: what makes PostgreSQL itself behave: strings compare without trailing
  blanks and VARCHAR(n) counts bytes, in every expression; functions and system views of Redshift.

What it refuses, each shown by a test (tests/integration/test_redshift_refusals.py)
- COPY: any format but Parquet, any option that columnar COPY lacks, a manifest without an exact
  content_length, a missing mandatory file, another region, another count of columns, any column type but
  the one that loads, texts longer in bytes, NULL in NOT NULL, times of day, SUPER without SERIALIZETOJSON.
- MERGE: a target alias, qualified SET, one WHEN without the other, conditions, WITH, a source that reads
  the target, a row matched twice. ALTER: two changes at once, IF NOT EXISTS, keys, any type change but a
  VARCHAR's size, and that one inside a batch. VACUUM inside a batch. Names that are reserved words; types
  and clauses that only PostgreSQL has.
- The API: more than 40 statements, 100 KB, empty or unused parameters, impossible combinations of
  workgroup, cluster, user and secret, another role's statements. A role has no rights until granted.

Where it is stricter than Redshift, so that nobody relies on what is unsure or harmful
- TRUNCATE in a batch is an error: on Redshift it commits the transaction around it.
- Nanosecond timestamps are an error: Redshift loads them as other dates. Milliseconds, fixed VARBYTE(n) and
  zoned timestamps into TIMESTAMP are refused because it is not known whether they load.
- BEGIN, COMMIT and ROLLBACK are refused. PUBLIC may not create in the schema public.
- ResultRows of a COPY is -1.
- A wrong content_length is an error; Redshift's own behaviour is not documented.

How it locks: UPDATE, DELETE and MERGE take their table exclusively against other writers until the end of the
transaction; INSERT and COPY go together; snapshots are taken at the first statement that reads or writes. So
waits, error 1023 and deadlocks come where Redshift has them, though COPY and INSERT never wait in a write
phase of their own. A table that was made after a transaction's snapshot is empty to it, where Redshift has
error 1018.

What stays out of reach: the effect of masks and of policies on rows, which are read, remembered and attached
(`policies`); what the planner makes of keys; distribution, sorting, encodings and their speed; workload
management and quotas per second (`throttle` imitates their errors); sessions that outlive a call; the CSV
result format; the IAM role of a COPY; UNLOAD, stored procedures, materialised views; the Glue catalog behind
external tables, and folders as their locations; navigation into SUPER (`a.b[0]`); QUALIFY, TOP, MINUS, PIVOT,
LISTAGG; the scale of a divided DECIMAL and the type of AVG; ACCEPTINVCHARS (taken, without effect);
PostgreSQL's own functions, which are not refused; exact error texts where no source shows them.
"""

from local.redshift.api import DataApi

__all__ = ["DataApi"]
