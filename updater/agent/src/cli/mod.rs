//! The command line: one file per subcommand, each only parses, calls the library and prints.
