"""Run directories: journal, fold, resume, merge, export. The only writer and reader of them."""
