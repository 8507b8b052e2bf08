//! The applications of a node.
//!
//! They end with the node as its supervision trees do: the youngest first, before it leaves its cluster.

use purlin_behaviours::application::{Application, ApplicationError, Env, RunningApplication};
use purlin_term::Atom;

use super::Node;

impl Node {
    /// Makes an application known, so that others can depend on it: `application:load/1`.
    ///
    /// # Errors
    /// [`ApplicationError::AlreadyLoaded`].
    pub fn load_application(&self, application: Application) -> Result<(), ApplicationError> {
        self.0.applications.load(application)
    }

    /// Loads an application and starts it, and before it, in order, what it depends on and does not run yet.
    /// Waits until all of that has started.
    ///
    /// # Errors
    /// [`ApplicationError`]: what was started for it is stopped again; what was loaded stays so.
    pub async fn start_application(
        &self,
        application: Application,
    ) -> Result<Vec<Atom>, ApplicationError> {
        let name = application.name().clone();
        self.load_application(application)?;
        self.ensure_all_started(name).await
    }

    /// Starts an application that is loaded, and before it, in order, what it depends on and does not run yet:
    /// `application:ensure_all_started/1`. Answers what was started, in that order.
    ///
    /// # Errors
    /// [`ApplicationError`]: what was started for it is stopped again.
    pub async fn ensure_all_started(
        &self,
        name: impl Into<Atom>,
    ) -> Result<Vec<Atom>, ApplicationError> {
        self.0.applications.ensure_all_started(name).await
    }

    /// Stops an application, and waits until its tree has ended: `application:stop/1`. What depends on it is
    /// left alone. It stays loaded.
    ///
    /// # Errors
    /// [`ApplicationError::NotStarted`].
    pub async fn stop_application(&self, name: impl Into<Atom>) -> Result<(), ApplicationError> {
        self.0.applications.stop(name).await
    }

    /// The applications that run, the youngest first: `application:which_applications/0`, without Purlin
    /// itself.
    pub fn which_applications(&self) -> Vec<RunningApplication> {
        self.0.applications.which_applications()
    }

    /// The environment of an application that is loaded.
    pub fn application_env(&self, name: impl Into<Atom>) -> Option<Env> {
        self.0.applications.env(name)
    }
}
