//! The `rootstock` program: everything it does is in the library.

fn main() -> std::process::ExitCode {
    rootstock::cli::main()
}
