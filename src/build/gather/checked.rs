//! Nothing damaged is linked: what lies on the shelf is read through before it is used. How it came there is not known
//! here.

use super::{Error, Sources};
use crate::build::shelf::{self, Shelved};
use crate::store::trash::discard;

/// What was found on the shelf, if every byte of it is as it was when it was put there. Environments share these
/// files: damage must be noticed before it is linked into another one. What is damaged is moved to the trash and made
/// anew.
pub(super) fn checked(
    sources: &Sources,
    found: Result<Option<Shelved>, shelf::Error>,
) -> Result<Option<Shelved>, Error> {
    let Sources { root, crew, .. } = *sources;
    match found {
        Ok(Some(shelved)) if crew.install(|| shelf::is_intact(&shelved))? => Ok(Some(shelved)),
        Ok(None) => Ok(None),
        Ok(Some(Shelved { directory, .. })) => {
            discard(root, &directory, "shelf")?;
            Ok(None)
        }
        Err(shelf::Error::Damaged { path, .. }) => {
            let directory = path.parent().expect("a list lies in a directory");
            discard(root, directory, "shelf")?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
