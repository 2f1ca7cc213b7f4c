//! The codes of the differences, for other programs to act on. What is compared is not known here.

/// Every code, with what it says. A code that is given out keeps its meaning for ever.
pub const CODES: &[(&str, &str)] = &[
    (
        "build-unpinned",
        "a source distribution of which nothing is locked that building it takes",
    ),
    (
        "constraint-changed",
        "a bound on a package that something else asks for, or that building takes",
    ),
    ("environment-added", "in the manifest, but not in the lock"),
    (
        "environment-removed",
        "in the lock, but no longer in the manifest",
    ),
    ("exclude-changed", "what is never installed"),
    (
        "exclude-newer-changed",
        "the time after which nothing is considered",
    ),
    ("index-changed", "which index a package comes from"),
    (
        "keep-changed",
        "the variables that the environment's workers inherit",
    ),
    (
        "lock-edited",
        "the lock's own digests do not hold, or its text was changed by hand",
    ),
    ("lock-missing", "there is no lock"),
    (
        "local-changed",
        "a file or a directory beside the manifest that a dependency names",
    ),
    ("model-added", "in the manifest, but not in the lock"),
    (
        "model-changed",
        "its environment, its argument or its `setup`",
    ),
    (
        "model-removed",
        "in the lock, but no longer in the manifest",
    ),
    (
        "override-changed",
        "a requirement that replaces those of the packages",
    ),
    ("python-changed", "which Python is asked for"),
    (
        "requirement-changed",
        "a dependency, of the manifest or of the environment's source",
    ),
    ("sdists-changed", "which source distributions may be built"),
    (
        "source-changed",
        "the bytes of the environment's source file",
    ),
    ("source-moved", "the path of the environment's source file"),
    ("target-changed", "the C library that a target promises"),
    (
        "target-missing",
        "a target of the manifest for which nothing is locked",
    ),
    (
        "target-removed",
        "a locked target that the manifest no longer names",
    ),
    (
        "variables-changed",
        "the variables of the environment's workers",
    ),
    (
        "version-violates-manifest",
        "what is locked is not what the manifest allows, whatever the lock's digests say",
    ),
    (
        "weights-changed",
        "a weight file of a model: where it is, where it goes, its size or its sha256",
    ),
];
