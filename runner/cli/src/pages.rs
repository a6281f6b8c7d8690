// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line as shells and man read it.

use std::{io, path::Path};

use clap::Command;

use super::{args::Man, failure::Failure};
use base::{fault::Exit, ui::Ui};

/// A script that completes memrig's command line.
pub(super) fn completions(shell: clap_complete::Shell, mut command: Command) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "memrig", &mut script);
    script
}

/// `memrig man`.
pub(super) fn manual(args: &Man, command: &Command, ui: &Ui) -> Result<Exit, Failure> {
    if let Some(folder) = &args.into {
        return fs_err::create_dir_all(folder)
            .and_then(|()| pages(command, folder))
            .map(|()| Exit::Pass)
            .map_err(|error| Failure::usage(anyhow::Error::new(error)));
    }
    let page = match &args.verb {
        None => man(command),
        Some(verb) => page_of(command, verb)?,
    };
    ui.out_bytes(&page.map_err(Failure::broken)?);
    Ok(Exit::Pass)
}

/// The command with the full names of its verbs, and with the options that all have.
fn built(command: &Command) -> Command {
    let mut command = command.clone();
    command.build();
    command
}

/// The verbs that have a page.
fn verbs_of(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| verb.get_name() != "help")
}

/// A page with memrig's name and version at its foot, also where it is a verb's.
fn page_for(command: &Command) -> clap_mangen::Man {
    clap_mangen::Man::new(command.clone()).source(concat!("memrig ", env!("CARGO_PKG_VERSION")))
}

/// A page for each verb and one for memrig itself, as `man` finds them.
fn pages(command: &Command, folder: &Path) -> io::Result<()> {
    let command = built(command);
    let page = |command: &Command, name: &str| {
        let mut page = Vec::new();
        page_for(command).render(&mut page)?;
        fs_err::write(folder.join(format!("{name}.1")), page)
    };
    page(&command, "memrig")?;
    verbs_of(&command).try_for_each(|verb| page(verb, &format!("memrig-{}", verb.get_name())))
}

/// The page of one verb.
fn page_of(command: &Command, verb: &str) -> Result<io::Result<Vec<u8>>, Failure> {
    let command = built(command);
    let Some(found) = verbs_of(&command).find(|known| known.get_name() == verb) else {
        let all: Vec<&str> = verbs_of(&command).map(Command::get_name).collect();
        return Err(Failure::usage(anyhow::anyhow!(
            "memrig has no verb `{verb}`; its verbs are {}",
            all.join(", ")
        )));
    };
    let mut page = Vec::new();
    let rendered = page_for(found).render(&mut page);
    Ok(rendered.map(|()| page))
}

/// One page for memrig and all of its verbs.
fn man(command: &Command) -> io::Result<Vec<u8>> {
    let command = built(command);
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for verb in verbs_of(&command) {
        let man = clap_mangen::Man::new(verb.clone());
        man.render_synopsis_section(&mut page)?;
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};
    use clap_complete::Shell;

    use super::{super::args::Cli, *};

    /// Every verb with the long names of its options.
    fn verbs() -> Vec<(String, Vec<String>)> {
        let mut command = Cli::command();
        // Adds what clap adds: --help and --version.
        command.build();
        let options = |verb: &Command| {
            verb.get_arguments()
                .filter_map(|option| option.get_long().map(str::to_owned))
                .collect()
        };
        command
            .get_subcommands()
            .filter(|verb| verb.get_name() != "help")
            .map(|verb| (verb.get_name().to_owned(), options(verb)))
            .collect()
    }

    /// What a text does not show, where `shows` says whether it shows a verb, and an option of one.
    fn lacking(shows: impl Fn(&str, Option<&str>) -> bool) -> Vec<String> {
        let mut lacking = Vec::new();
        for (verb, options) in verbs() {
            if !shows(&verb, None) {
                lacking.push(verb.clone());
            }
            let hidden = options.iter().filter(|option| !shows(&verb, Some(option)));
            lacking.extend(hidden.map(|option| format!("{verb} --{option}")));
        }
        lacking
    }

    fn man_lacks(page: &str) -> Vec<String> {
        let plain = page.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "");
        lacking(|verb, option| {
            let synopsis = format!("\nmemrig {verb} ");
            let section = plain
                .split(".SH SYNOPSIS")
                .find(|part| part.starts_with(&synopsis));
            let Some((_, told)) = section.and_then(|section| section.split_once(".SH OPTIONS")) else {
                return false;
            };
            option.is_none_or(|option| {
                let words = |line: &str| {
                    line.split([' ', ',', '=', '['])
                        .any(|word| word == format!("--{option}"))
                };
                told.lines().any(|line| line.starts_with('-') && words(line))
            })
        })
    }

    fn bash_lacks(script: &str) -> Vec<String> {
        lacking(|verb, option| {
            let label = format!("__{verb})");
            let mut lines = script.lines().map(str::trim).skip_while(|line| {
                // Labels that set the state end in `)` too, and have no words of their own.
                !line.ends_with(&label) || line.contains("help")
            });
            lines
                .find_map(|line| line.strip_prefix("opts=\""))
                .is_some_and(|words| {
                    option.is_none_or(|option| {
                        let wanted = format!("--{option}");
                        words.trim_end_matches('"').split(' ').any(|word| word == wanted)
                    })
                })
        })
    }

    fn fish_lacks(script: &str) -> Vec<String> {
        lacking(|verb, option| {
            let of_verb = format!("using_subcommand {verb}\"");
            script.lines().any(|line| match option {
                None => line.contains(&format!("-a \"{verb}\"")),
                Some(option) => {
                    line.contains(&of_verb) && format!("{line} ").contains(&format!("-l {option} "))
                }
            })
        })
    }

    fn script(shell: Shell) -> String {
        String::from_utf8(completions(shell, Cli::command())).unwrap()
    }

    /// Every line of `text` with `word` is gone.
    fn without(text: &str, word: &str) -> String {
        text.lines()
            .filter(|line| !line.contains(word))
            .map(|line| format!("{line}\n"))
            .collect()
    }

    #[test]
    fn the_man_page_has_every_verb_and_every_option() {
        let page = String::from_utf8(man(&Cli::command()).unwrap()).unwrap();
        assert_eq!(man_lacks(&page), Vec::<String>::new());
        let torn = without(&page, "\\-\\-fail\\-fast");
        assert!(man_lacks(&torn).contains(&"run --fail-fast".to_owned()), "{torn}");
        let torn = page.replace("memrig prune", "memrig plume");
        assert!(man_lacks(&torn).contains(&"prune".to_owned()));
    }

    /// The calls of memrig in the indented lines of a text; what a line says behind them is left out.
    fn calls(text: &str) -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix("    "));
        let call = |line: &str| {
            let start = match line.starts_with("memrig ") {
                true => 0,
                false => ["&& memrig ", "| memrig ", "run memrig "]
                    .iter()
                    .find_map(|before| Some(line.find(before)? + before.len() - "memrig ".len()))?,
            };
            let call = line[start..].split("  ").next()?;
            let call = call.split([';', '|', '>', '\\']).next()?.trim();
            Some(call.replace("$(uname -r)", "6.12.1"))
        };
        lines.filter_map(call).collect()
    }

    /// Calls that the program does not take, each with what it says.
    fn refused(text: &str) -> Vec<String> {
        let refusal = |call: String| {
            let error = Cli::try_parse_from(shlex::split(&call).expect("quotes that are closed")).err()?;
            Some(format!("{call}: {error}"))
        };
        calls(text).into_iter().filter_map(refusal).collect()
    }

    #[test]
    fn every_call_in_the_documents_is_one_that_the_program_takes() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let mut seen = 0;
        for folder in [".", "docs", "docs/ci", "suites/series", "kconfigs", "results"] {
            for file in fs_err::read_dir(root.join(folder)).unwrap() {
                let path = file.unwrap().path();
                if path.extension().is_none_or(|ending| ending != "md") {
                    continue;
                }
                let text = fs_err::read_to_string(&path).unwrap();
                assert_eq!(refused(&text), Vec::<String>::new(), "{}", path.display());
                seen += calls(&text).len();
            }
        }
        assert!(seen > 60, "only {seen} calls were found");
        let wrong =
            "text\n    memrig run quick --json   what it does\n    echo x | memrig shell 'a b' -c B01\n";
        assert_eq!(
            calls(wrong),
            ["memrig run quick --json", "memrig shell 'a b' -c B01"]
        );
        assert_eq!(refused(wrong).len(), 1);
    }

    #[test]
    fn every_example_of_the_help_is_one_that_the_program_takes() {
        let mut seen = 0;
        for verb in Cli::command().get_subcommands() {
            // A verb may need none; the number below says that others have some.
            let Some(help) = verb.get_after_help() else {
                continue;
            };
            // Indented by two, where documents indent by four.
            let examples: String = help
                .to_string()
                .lines()
                .map(|line| format!("  {line}\n"))
                .collect();
            assert_eq!(refused(&examples), Vec::<String>::new(), "{}", verb.get_name());
            seen += calls(&examples).len();
        }
        assert!(seen > 30, "only {seen} examples were found");
    }

    #[test]
    fn every_variable_that_the_program_reads_is_in_the_documents() {
        let text =
            fs_err::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/how-to.md")).unwrap();
        let mut command = Cli::command();
        command.build();
        let of_options = command
            .get_subcommands()
            .flat_map(Command::get_arguments)
            .filter_map(clap::Arg::get_env);
        let mut all: Vec<String> = of_options
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        let others = [
            "MEMRIG_CACHE",
            "MEMRIG_MIRROR",
            "XDG_CACHE_HOME",
            "NO_COLOR",
            "TERM",
            "MEMRIG_BLESS",
        ];
        all.extend(others.map(str::to_owned));
        let missing: Vec<&String> = all
            .iter()
            .filter(|name| !text.contains(&format!("`{name}`")))
            .collect();
        assert_eq!(missing, Vec::<&String>::new());
        assert!(all.iter().any(|name| name == "MEMRIG_RESULTS"), "{all:?}");
    }

    #[test]
    fn each_verb_has_a_page_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        pages(&Cli::command(), folder.path()).unwrap();
        for (verb, options) in verbs() {
            let path = folder.path().join(format!("memrig-{verb}.1"));
            let page = fs_err::read_to_string(path).unwrap().replace("\\-", "-");
            assert!(page.contains(&format!("memrig-{verb}")), "{page}");
            for option in options {
                assert!(page.contains(&format!("--{option}")), "{verb} --{option}");
            }
            let printed = page_of(&Cli::command(), &verb).ok().unwrap().unwrap();
            assert!(String::from_utf8(printed).unwrap().contains(&verb));
        }
        assert!(folder.path().join("memrig.1").is_file());
        let unknown = page_of(&Cli::command(), "rum").err().unwrap();
        assert!(format!("{unknown:?}").contains("no verb `rum`"), "{unknown:?}");
    }

    #[test]
    fn the_completions_have_every_verb_and_every_option() {
        let (bash, fish) = (script(Shell::Bash), script(Shell::Fish));
        assert_eq!(bash_lacks(&bash), Vec::<String>::new());
        assert_eq!(fish_lacks(&fish), Vec::<String>::new());
        let torn = bash.replace(" --fail-fast", "");
        assert_eq!(
            bash_lacks(&torn).first().map(String::as_str),
            Some("run --fail-fast")
        );
        assert_eq!(fish_lacks(&without(&fish, "-l fail-fast"))[0], "run --fail-fast");
        assert!(fish_lacks(&without(&fish, "-a \"prune\"")).contains(&"prune".to_owned()));
        for shell in [Shell::Zsh, Shell::Elvish, Shell::PowerShell] {
            let script = script(shell);
            for (verb, options) in verbs() {
                for option in options {
                    assert!(
                        script.contains(&format!("--{option}")),
                        "{shell}: {verb} --{option}"
                    );
                }
            }
        }
    }
}
