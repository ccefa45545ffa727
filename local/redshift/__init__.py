"""Amazon Redshift's Data API on PostgreSQL: a stand-in that refuses what Redshift refuses.

It is a WSGI application (`DataApi`) that answers the API's JSON to any AWS client. Statements run
asynchronously, each call in a PostgreSQL session of its own, in the database `warehouse`.

Its modules
- `api`, `requests`, `answers`: the API's operations, the checks of a request, the answers.
- `statements`, `session`: statements in progress and the sessions they run in.
- `grammar` with `definitions`, `tables`, `alter`, `columns`, `merge`, `copy_command`, `policies`: Redshift's
  grammar; each statement is read and translated to PostgreSQL's (`translation`). `lexer`, `rewrite`,
  `names` and `words` are their parts.
- `loading`, `parquet`, `loads`: running a COPY, its rules for types, and the system views of loads;
  `external`: external schemas and tables, whose partitions are read as they are added.
- `functions.sql`, `catalog.sql`: changes to PostgreSQL itself: strings compare without trailing
  blanks, and VARCHAR(n) counts bytes, in every expression; functions and system views of Redshift.

What it refuses, each with a test (tests/integration/test_redshift_refusals.py)
- COPY: any format but Parquet, any option that columnar COPY lacks, a manifest without an exact
  content_length, a missing mandatory file, another region, another count of columns, any column type but
  the one that loads, texts longer in bytes, NULL in NOT NULL, times of day, SUPER without SERIALIZETOJSON.
- MERGE: a target alias, qualified SET, one WHEN without the other, conditions, WITH, a source that reads
  the target, a row matched twice. ALTER: two changes at once, IF NOT EXISTS, keys, any type change but a
  VARCHAR's size, and that one inside a batch. VACUUM inside a batch. Names that are reserved words; types
  and clauses that only PostgreSQL has.
- The API: more than 40 statements, 100 KB, empty or unused parameters, impossible combinations of
  workgroup, cluster, user and secret, another role's statements. A role has no rights until granted.

It is stricter than Redshift if a behaviour is unsure or harmful
- TRUNCATE in a batch is an error: on Redshift it commits the transaction around it.
- Nanosecond timestamps are an error: Redshift loads them as other dates. Milliseconds, fixed VARBYTE(n) and
  zoned timestamps into TIMESTAMP are refused because it is not known whether they load.
- BEGIN, COMMIT and ROLLBACK are refused. PUBLIC may not create in the schema public.
- ResultRows of a COPY is -1.
- A wrong content_length is an error; Redshift's own behaviour is not documented.

Locks: UPDATE, DELETE and MERGE lock their table against other writers until the end of the transaction;
INSERT and COPY run together; snapshots are taken at the first statement that reads or writes. So waits, error
1023 and deadlocks occur as on Redshift, except that COPY and INSERT never wait in a write phase of their own.
A table created after a transaction's snapshot is empty to it; Redshift raises error 1018.

Not imitated: the effect of masks and of policies on rows, which are read, remembered and attached
(`policies`); what the planner makes of keys; distribution, sorting, encodings and their speed; workload
management and quotas per second (`throttle` imitates their errors); sessions that outlive a call; the CSV
result format; the IAM role of a COPY; UNLOAD, stored procedures, materialised views; the Glue catalog behind
external tables, and folders as their locations; navigation into SUPER (`a.b[0]`); QUALIFY, TOP, MINUS, PIVOT,
LISTAGG; the scale of a divided DECIMAL and the type of AVG; ACCEPTINVCHARS (taken, without effect);
PostgreSQL's own functions, which are not refused; exact error texts that no source shows.
"""

from local.redshift.api import DataApi

__all__ = ["DataApi"]
