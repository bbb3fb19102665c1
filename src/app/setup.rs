//! What is at hand where an app's states are made.

use crate::error::Failure;

/// What `App::state_with` gets: a look at the app's environment.
#[derive(Clone, Debug)]
pub struct Setup {
    pub(crate) app: String,
}

impl Setup {
    /// The app's name.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// An environment variable that must be there.
    ///
    /// # Errors
    /// A sentence that names the variable.
    pub fn var(&self, name: &str) -> Result<String, Failure> {
        crate::settings::variable(name).map(|value| value.to_string_lossy().into_owned()).ok_or_else(|| {
            Failure::Invalid(format!("the environment variable {name} is not set, and app `{}` needs it", self.app))
        })
    }
}
