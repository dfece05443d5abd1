"""The report: HTML pages about one case or a set of cases, and the folder of tables and figures around them."""
