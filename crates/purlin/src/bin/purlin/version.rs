//! `purlin version`.

use serde_json::json;

use crate::output;

/// The OTP releases that the tests run with.
const OTP_RELEASES_TESTED: [u32; 2] = [25, 28];

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) verbose: bool,
    pub(crate) json: bool,
}

pub(crate) fn run(options: &Options) {
    let version = env!("CARGO_PKG_VERSION");
    let (commit, built) = (env!("PURLIN_COMMIT"), env!("PURLIN_BUILD_TIME"));
    let target = env!("PURLIN_TARGET");
    if options.json {
        let json = json!({
            "version": version,
            "commit": commit,
            "built": built,
            "target": target,
            "otp": OTP_RELEASES_TESTED,
        });
        return output::line(&json.to_string());
    }
    output::line(&format!("purlin {version}"));
    if options.verbose {
        let otp = OTP_RELEASES_TESTED.map(|release| release.to_string());
        output::line(&format!("commit  {commit}"));
        output::line(&format!("built   {built}"));
        output::line(&format!("target  {target}"));
        output::line(&format!("OTP     {}", otp.join(", ")));
    }
}
