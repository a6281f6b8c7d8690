// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an apt root of ours is told: its sources.list(5) and its apt.conf(5).

use std::path::Path;

use super::{DebianRelease, apt::SOURCE, sources::Mirror};

pub(super) fn sources(
    mirror: &Mirror,
    suite: DebianRelease,
    architecture: &str,
    signed_by: Option<&Path>,
) -> String {
    let kind = if architecture == SOURCE { "deb-src" } else { "deb" };
    let options = signed_by
        .map(|path| format!("[signed-by={}] ", path.display()))
        .unwrap_or_default();
    let mut text = format!("{kind} {options}{} {suite} main\n", mirror.uri);
    // The long-term security archive of bookworm has amd64 and no s390x.
    if let (DebianRelease::Bookworm, "amd64", Some(uri)) = (suite, architecture, &mirror.security) {
        text += &[
            kind,
            " ",
            &options,
            uri,
            " ",
            suite.codename(),
            "-security main
",
        ]
        .concat();
    }
    text
}

/// The root's configuration. Of the machine's own only what is needed to reach a mirror is taken over: its hooks would touch
/// the machine's state.
pub(super) fn apt_conf(dir: &Path, architecture: &str, root: bool, inherited: &str) -> String {
    let dir = dir.display();
    let mut text = format!(
        "Dir::State \"{dir}/state\";\nDir::State::status \"{dir}/state/status\";\nDir::Cache \"{dir}/cache\";\n\
         Dir::Cache::pkgcache \"\";\nDir::Cache::srcpkgcache \"\";\nDir::Etc \"{dir}/etc\";\n\
         Dir::Etc::trusted \"/etc/apt/trusted.gpg\";\nDir::Etc::trustedparts \"/etc/apt/trusted.gpg.d/\";\n\
         Dir::Etc::netrc \"/etc/apt/auth.conf\";\nDir::Etc::netrcparts \"/etc/apt/auth.conf.d/\";\n\
         Acquire::Languages \"none\";\nAcquire::PDiffs \"false\";\n"
    );
    if architecture != SOURCE {
        let list = [
            ("APT::Architecture", architecture),
            ("APT::Architectures::", architecture),
        ];
        text.extend(list.map(|(name, value)| format!("{name} \"{value}\";\n")));
    }
    if root {
        // Apt's own user may not enter a directory of root's.
        text += "APT::Sandbox::User \"root\";\n";
    }
    let wanted = [
        "Acquire::http",
        "Acquire::https",
        "Acquire::ForceIPv",
        "Acquire::Retries",
    ];
    for line in inherited.lines() {
        if wanted.iter().any(|prefix| line.starts_with(prefix)) && !line.ends_with("\"\";") {
            text += line;
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::sources::SignedBy;

    #[test]
    fn only_bookworm_on_amd64_has_security_updates() {
        let mirror = Mirror {
            uri: "http://m.test/debian".to_owned(),
            signed_by: SignedBy::Trusted,
            security: Some("http://m.test/security".to_owned()),
        };
        let key = Path::new("/k.gpg");
        assert_eq!(
            sources(&mirror, DebianRelease::Bookworm, "amd64", Some(key)),
            "deb [signed-by=/k.gpg] http://m.test/debian bookworm main\n\
             deb [signed-by=/k.gpg] http://m.test/security bookworm-security main\n"
        );
        assert_eq!(
            sources(&mirror, DebianRelease::Bookworm, "s390x", None),
            "deb http://m.test/debian bookworm main\n"
        );
        assert_eq!(
            sources(&mirror, DebianRelease::Trixie, SOURCE, None),
            "deb-src http://m.test/debian trixie main\n"
        );
    }

    #[test]
    fn a_proxy_is_taken_over_and_a_hook_is_not() {
        let inherited = "Acquire \"\";\nAcquire::http \"\";\nAcquire::http::Proxy \"http://p.test:3128\";\n\
            Acquire::Languages:: \"de\";\nAcquire::IndexTargets::deb \"\";\n";
        let conf = apt_conf(Path::new("/c/apt"), "s390x", true, inherited);
        assert!(conf.contains("Acquire::http::Proxy \"http://p.test:3128\";\n"));
        assert!(conf.contains("APT::Sandbox::User") && conf.contains("Dir::State \"/c/apt/state\""));
        assert!(
            !conf.contains("de\"") && !conf.contains("IndexTargets") && !conf.contains("Acquire::http \"\"")
        );
    }
}
