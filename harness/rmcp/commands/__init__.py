"""The `rmcp` subcommands, one file each: HELP, configure(parser) and run(args) -> exit code."""
