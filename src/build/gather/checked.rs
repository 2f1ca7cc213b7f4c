//! Nothing damaged is linked: what lies in the wheel store is read through before it is used. How it came there is not known
//! here.

use super::{Error, Gathering};
use crate::store::trash::discard;
use crate::store::wheels::{self, UnpackedWheel};

/// What was found in the store, if every byte of it is as it was when it was put there. Environments share these
/// files: damage must be noticed before it is linked into another one. What is damaged is moved to the trash and made
/// again.
pub(super) fn checked(
    gathering: &Gathering,
    found: Result<Option<UnpackedWheel>, wheels::Error>,
) -> Result<Option<UnpackedWheel>, Error> {
    let (root, workers) = (gathering.context.root, gathering.workers);
    match found {
        Ok(Some(unpacked)) if workers.install(|| wheels::is_intact(&unpacked))? => {
            Ok(Some(unpacked))
        }
        Ok(None) => Ok(None),
        Ok(Some(UnpackedWheel { directory, .. })) => {
            discard(root, &directory, "wheel")?;
            Ok(None)
        }
        Err(wheels::Error::Damaged { path, .. }) => {
            let directory = path.parent().expect("a list lies in a directory");
            discard(root, directory, "wheel")?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
