"""Reports made from a Run or a comparison: HTML, JUnit, Markdown, CSV, Parquet, CTRF."""
