//! A finding: something in a root that is not as it should be, with a code that never changes.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::files;

/// The kind of a finding. Scripts rely on the names, `access-mode` and so on: none is ever renamed. In the order of their
/// names, which is that of the findings of one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// A directory above the root cannot be passed by those whom the policy is for.
    AccessAncestor,
    /// A file belongs to another group than the policy's.
    AccessGroup,
    /// A part of an interpreter is closed to those whom the policy is for.
    AccessInterpreter,
    /// A file has another mode than the policy's.
    AccessMode,
    /// The policy names a group that this machine does not have.
    AccessUnknown,
    /// Everyone can write there.
    AccessWritable,
    /// `models.json` is missing or cannot be read.
    CatalogueBroken,
    /// The NVIDIA driver is too old for an environment's CUDA.
    DriverOld,
    /// A compiled module is for another Python than that of its generation.
    ExtensionForeign,
    /// A file of a generation has other content than when it was built.
    FileChanged,
    /// A file is in a generation that was not built with it.
    FileExtra,
    /// A file of a generation is missing.
    FileMissing,
    /// A file of a generation has another mode than when it was built.
    FileMode,
    /// A file of a generation cannot be read.
    FileUnreadable,
    /// The filesystem lacks an operation that a root needs.
    FilesystemUnfit,
    /// A folder of the root is a link or a file.
    FolderReplaced,
    /// A generation is incomplete or inconsistent.
    GenerationDamaged,
    /// The C library is too old for an environment's wheels.
    GlibcOld,
    /// The source of an environment cannot be imported.
    ImportFailed,
    /// The filesystem has few inodes left.
    InodesLow,
    /// A generation was built on another interpreter of this path.
    InterpreterChanged,
    /// The interpreter of a generation cannot be read by this user.
    InterpreterClosed,
    /// The interpreter of a generation is missing.
    InterpreterMissing,
    /// An environment's link points to a generation that is missing.
    LinkBroken,
    /// An environment's link points out of its generations.
    LinkElsewhere,
    /// An environment has generations and no link.
    LinkMissing,
    /// What an environment needs of a machine cannot be read.
    NeedsUnknown,
    /// A managed interpreter has other files than when it was installed.
    PythonDamaged,
    /// A quota is nearly used up.
    QuotaLow,
    /// The filesystem has little space left.
    SpaceLow,
    /// A build that was killed left its staging directory behind.
    StagingLeft,
    /// A newer rootstock wrote a generation's stamp.
    StampNewer,
    /// A generation has no readable stamp.
    StampUnreadable,
    /// A wheel of the store has other files than when it was unpacked.
    StoreDamaged,
    /// The list of a generation's files does not match its stamp.
    TreeChanged,
    /// A file or directory of the root cannot be read.
    Unreadable,
    /// A weight file has another size or digest than in the catalogue.
    WeightChanged,
    /// A weight file is missing.
    WeightMissing,
}

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(out)
    }
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
