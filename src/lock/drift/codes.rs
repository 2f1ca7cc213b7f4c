//! The codes of the differences between a manifest and a lock, for other programs to act on.

use crate::report::codes::codes;

codes! {
    /// What kind of difference a finding is. A code keeps its name and its meaning for ever.
    AboutChanged = "about-changed", "what the manifest says of a model: elements, licence, citation and so on";
    BuildUnpinned = "build-unpinned", "a source distribution of which nothing is locked that building it takes";
    BytecodeChanged = "bytecode-changed", "which modules of its packages are compiled";
    ConstraintChanged = "constraint-changed", "a bound on a package that something else asks for, or that building takes";
    EnvironmentAdded = "environment-added", "in the manifest, but not in the lock";
    EnvironmentRemoved = "environment-removed", "in the lock, but no longer in the manifest";
    ExcludeChanged = "exclude-changed", "what is never installed";
    ExcludeNewerChanged = "exclude-newer-changed", "the time after which nothing is considered";
    FunctionsChanged = "functions-changed", "the functions that the manifest lists for `rootstock call`";
    IndexChanged = "index-changed", "which index a package comes from";
    KeepChanged = "keep-changed", "the variables that the environment's workers inherit";
    LockEdited = "lock-edited", "the lock's own digests do not hold, or its text was changed by hand";
    LockMissing = "lock-missing", "there is no lock";
    LocalChanged = "local-changed", "a file or a directory beside the manifest that a dependency names";
    ModelAdded = "model-added", "in the manifest, but not in the lock";
    ModelChanged = "model-changed", "its environment, its argument or its `setup`";
    ModelRemoved = "model-removed", "in the lock, but no longer in the manifest";
    OverrideChanged = "override-changed", "a requirement that replaces those of the packages";
    PythonChanged = "python-changed", "which Python is asked for";
    ReferenceChanged = "reference-changed", "the file of a model's recorded numbers is not the one that was recorded";
    ReferenceMissing = "reference-missing", "the manifest names a file of numbers of a model, and none were recorded";
    ReferenceStale = "reference-stale", "a model's numbers were recorded with another answer, other weights or other arguments";
    RequirementChanged = "requirement-changed", "a dependency, of the manifest or of the environment's source";
    SdistsChanged = "sdists-changed", "which source distributions may be built";
    SeriesAdded = "series-added", "a series of Python of `also-python` for which nothing is locked";
    SeriesRemoved = "series-removed", "a locked series of Python that `also-python` no longer names";
    SourceChanged = "source-changed", "the bytes of the environment's source file";
    SourceMoved = "source-moved", "the path of the environment's source file";
    TargetChanged = "target-changed", "the C library that a target promises";
    TargetMissing = "target-missing", "a target of the manifest for which nothing is locked";
    TargetRemoved = "target-removed", "a locked target that the manifest no longer names";
    VariablesChanged = "variables-changed", "the variables of the environment's workers";
    VersionViolatesManifest = "version-violates-manifest", "what is locked is not what the manifest allows, whatever the lock's digests say";
    WeightsChanged = "weights-changed", "a weight file of a model: where it is, where it goes, its size or its sha256";
}
