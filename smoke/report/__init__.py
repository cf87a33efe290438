"""What comes out: results, the report and its table, and how a report compares with a published one."""
