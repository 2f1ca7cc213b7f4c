//! A finding: something in a root that is not as it should be, with a code that never changes.

use std::path::PathBuf;

use serde::Serialize;

use crate::files;
use crate::report::codes::codes;

codes! {
    /// The kind of a finding. Scripts rely on the names, `access-mode` and so on: none is ever renamed. In the order of
    /// their names, which is that of the findings of one path.
    AccessAncestor = "access-ancestor", "a directory above the root cannot be passed by those whom the policy is for";
    AccessGroup = "access-group", "a file belongs to another group than the policy's";
    AccessInterpreter = "access-interpreter", "a part of an interpreter is closed to those whom the policy is for";
    AccessMode = "access-mode", "a file has another mode than the policy's";
    AccessUnknown = "access-unknown", "the policy names a group that this machine does not have";
    AccessWritable = "access-writable", "everyone can write there";
    CatalogueBroken = "catalogue-broken", "`models.json` is missing or cannot be read";
    DriverOld = "driver-old", "the NVIDIA driver is too old for an environment's CUDA";
    ExtensionForeign = "extension-foreign", "a compiled module is for another Python than that of its generation";
    FileChanged = "file-changed", "a file of a generation has other content than when it was built";
    FileExtra = "file-extra", "a file is in a generation that was not built with it";
    FileMissing = "file-missing", "a file of a generation is missing";
    FileMode = "file-mode", "a file of a generation has another mode than when it was built";
    FileUnreadable = "file-unreadable", "a file of a generation cannot be read";
    FilesystemUnfit = "filesystem-unfit", "the filesystem lacks an operation that a root needs";
    FolderReplaced = "folder-replaced", "a folder of the root is a link or a file";
    GenerationDamaged = "generation-damaged", "a generation is incomplete or inconsistent";
    GlibcOld = "glibc-old", "the C library is too old for an environment's wheels";
    ImportFailed = "import-failed", "the source of an environment cannot be imported";
    InodesLow = "inodes-low", "the filesystem has few inodes left";
    InterpreterChanged = "interpreter-changed", "a generation was built on another interpreter of this path";
    InterpreterClosed = "interpreter-closed", "the interpreter of a generation cannot be read by this user";
    InterpreterMissing = "interpreter-missing", "the interpreter of a generation is missing";
    LinkBroken = "link-broken", "an environment's link points to a generation that is missing";
    LinkElsewhere = "link-elsewhere", "an environment's link points out of its generations";
    LinkMissing = "link-missing", "an environment has generations and no link";
    NeedsUnknown = "needs-unknown", "what an environment needs of a machine cannot be read";
    PythonDamaged = "python-damaged", "a managed interpreter has other files than when it was installed";
    QuotaLow = "quota-low", "a quota is nearly used up";
    SpaceLow = "space-low", "the filesystem has little space left";
    StagingLeft = "staging-left", "a build that was killed left its staging directory behind";
    StampNewer = "stamp-newer", "a newer rootstock wrote a generation's stamp";
    StampUnreadable = "stamp-unreadable", "a generation has no readable stamp";
    StoreDamaged = "store-damaged", "a wheel of the store has other files than when it was unpacked";
    TreeChanged = "tree-changed", "the list of a generation's files does not match its stamp";
    Unreadable = "unreadable", "a file or directory of the root cannot be read";
    WeightChanged = "weight-changed", "a weight file has another size or digest than in the catalogue";
    WeightMissing = "weight-missing", "a weight file is missing";
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The kind of problem.
    pub code: Code,
    /// The file or directory concerned.
    pub path: PathBuf,
    /// What is wrong; more than one line where a program's output is part of it.
    pub message: String,
    /// How to fix it; a command where one does.
    pub fix: String,
}

impl Finding {
    pub(super) fn new(
        code: Code,
        path: impl Into<PathBuf>,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            code,
            path: path.into(),
            message: message.into(),
            fix: fix.into(),
        }
    }

    /// Something cannot be read, so its content is unknown. Where only this user lacks permission, nothing needs repair.
    pub(super) fn unreadable(error: &files::Error, fix: &str) -> Self {
        let fix = if error.is_refused() {
            "look again as its owner, or as a user who may read it"
        } else {
            fix
        };
        Self::new(Code::Unreadable, &error.path, error.text(), fix)
    }
}
