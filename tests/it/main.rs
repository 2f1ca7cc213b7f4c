//! Promises, tested through the real binary. Each module is one promise.
