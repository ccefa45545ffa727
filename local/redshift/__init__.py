"""Amazon Redshift's Data API on PostgreSQL: a stand-in that refuses what Redshift refuses."""

from local.redshift.api import DataApi

__all__ = ["DataApi"]
