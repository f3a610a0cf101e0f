"""Actions, conditions and statements of key and bucket policies: plain functions that know no construct."""
