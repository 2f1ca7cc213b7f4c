//! `bytecode` of an environment: which modules of its packages are compiled when it is built.

use super::complaint::{Text, nearest};
use super::reader::Section;

/// Which modules of its packages an environment has bytecode for. Python compiles the others when they are imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bytecode {
    /// All but those of tests, which no model imports: about a third of what the field's packages install.
    #[default]
    NoTests,
    /// All.
    All,
}

impl Bytecode {
    /// Both, by their names in a manifest.
    pub(super) const ALL: [Bytecode; 2] = [Bytecode::NoTests, Bytecode::All];

    /// Its name in a manifest and in a lock.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Bytecode::NoTests => "no-tests",
            Bytecode::All => "all",
        }
    }

    /// That of a name.
    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

/// The value, or the default where there is none.
pub(super) fn read(text: &mut Text, section: &Section) -> Bytecode {
    let Some(placed) = section.string(text, "bytecode") else {
        return Bytecode::default();
    };
    Bytecode::named(&placed.value).unwrap_or_else(|| {
        let names = Bytecode::ALL.map(Bytecode::as_str);
        let help = nearest(&placed.value, names).map_or_else(
            || "write \"all\", or remove the key: tests are not compiled then".to_owned(),
            |near| format!("did you mean \"{near}\"?"),
        );
        text.complain(
            placed.span,
            format!("`{}` is no value of `bytecode`", placed.value),
            "expected \"no-tests\" or \"all\"",
            Some(help),
        );
        Bytecode::default()
    })
}
