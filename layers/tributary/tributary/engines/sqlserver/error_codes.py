"""SQL Server's error numbers: what each means for us, and in words. Everything else is the user's to correct.

learn.microsoft.com: "Database engine errors", "Troubleshoot connectivity issues" (Azure SQL), and the list of
transient errors of Microsoft.Data.SqlClient.
"""

from __future__ import annotations

from tributary.engines.odbc import Meaning

REFUSALS = {
    "18456": "wrong user name or password",
    "18452": "the login is of a Windows domain; use one of SQL Server",
    "18470": "the account is disabled",
    "18486": "the account is locked",
    "18487": "the password has expired",
    "18488": "the password must be changed",
    "4060": "no such database, or the user may not use it",
    "911": "no such database",
    "4064": "the login's default database cannot be used",
    "40532": "no such server, or it is of another subscription",
}
BUGS = ("8624", "8630", "3624")  # of the query processor; a failed assertion
BROKEN = (
    *("1205", "3960", "3961", "3966", "596", "983", "976", "978", "921", "926", "982"),
    *("41301", "41302", "41305", "41325", "41839"),  # of memory-optimized tables
    *("615", "617", "669", "601", "4221", "42108", "42109", "40143", "40166"),
    *("40197", "40501", "40540", "40549", "40550", "40551", "40552", "40553"),
    *("40613", "40648", "45168", "45169", "49918", "49977", "49983"),
    *("701", "802", "1203", "1204", "8628", "8645", "8651", "17803"),  # memory, locks
    *("64", "121", "233", "10053", "10054", "10060", "11001"),  # of the network
    *("7303", "7330", "7399"),  # a linked server does not answer
    "01000",  # the driver's network layer; no server answered
)
MEANINGS: dict[str, Meaning] = {
    **dict.fromkeys(REFUSALS, "refused"),
    **dict.fromkeys(("40615", "40914", "47073"), "blocked"),
    "20": "no TLS",  # of the driver itself
    **dict.fromkeys(("229", "230", "300", "297", "262", "916", "371"), "forbidden"),
    **dict.fromkeys(("208", "207", "3701", "4902"), "gone"),
    **dict.fromkeys(("3952", "3954", "41332"), "unreadable"),
    **dict.fromkeys(("1222", "3617"), "cancelled"),  # lock time-out; cancelled from outside
    **dict.fromkeys(BROKEN, "broken"),
    **dict.fromkeys(("17809", "10922", "10928", "10929", "10936", "49919", "49920", "18401"), "busy"),
}
WRONG_VALUE = "a value that is no value of its type"
OUT_OF_RANGE = "a number or a time is out of range"
REASONS = REFUSALS | {
    "8134": "a division by zero",
    **dict.fromkeys(("241", "245", "295", "8114", "8169", "9420", "9455"), WRONG_VALUE),
    **dict.fromkeys(("220", "232", "242", "248", "517", "535", "1007", "8115", "3606", "3623"), OUT_OF_RANGE),
    **dict.fromkeys(("2628", "8152"), "a text is too long"),
    "512": "a subquery returned more than one row",
    "207": "a column does not exist",
    "208": "a table that it reads does not exist",
    "4413": "a table or a column that it reads is missing",
    "4502": "it has more column names than columns: its tables have changed",
    **dict.fromkeys(("195", "4121", "2812"), "a function does not exist"),
    **dict.fromkeys(("468", "457", "451"), "collations that cannot be compared"),
    **dict.fromkeys(("102", "105", "156", "170", "319"), "its SQL cannot be parsed"),
    "209": "a column's name is ambiguous",
    "50000": "a function raised an error",
    "8655": "its clustered index is disabled; rebuild it",
    **dict.fromkeys(("605", "823", "824", "825"), "its data are damaged"),
    "217": "views or functions are nested too deep",
    "8623": "its query is too complex for the server",
    "1105": "tempdb is full",
    "3952": "another database that it reads does not allow snapshot isolation; allow it there",
    "41332": "it reads a memory-optimized table; set MEMORY_OPTIMIZED_ELEVATE_TO_SNAPSHOT ON in the database",
}
