// SPDX-License-Identifier: MIT OR Apache-2.0
//! `report.html` as a person uses it: in a browser, at two widths and in both themes.

use base::{Arch, fault::Verdict};
use camino::{Utf8Path, Utf8PathBuf};
use compare::{ArchComparison, CompareRecord, Difference, Dimension, KernelSide, Kind, Row};
use jiff::Timestamp;
use record::{
    CaseName, CaseRecord, Event, FindingRecord, GuestEnd, LedgerEntry, RunFacts, RunFolder, RunRecord,
    index::HistoryKey, samples,
};
use serde_json::json;
use tell::{News, Novelty, Past};

use crate::{
    browser::Browser,
    results::{
        sample::{self, judged, passed, step},
        summary::second_of_five,
    },
};

/// What a guest could print to get at a reader.
const HOSTILE: &str = "</pre></style></title><script>document.title='owned'</script>\
    <img src=x onerror=\"document.title='owned'\"><svg onload=\"document.title='owned'\">\
    \" onmouseover=\"document.title='owned' ' &lt; {{ 7 * 7 }} \u{1b}[31m\u{202e}";

/// A run in which everything that comes from a guest is hostile, with some more cases than the sample has.
fn write(folder: &Utf8Path) -> RunRecord {
    let mut facts = sample::facts();
    facts.argv.push(HOSTILE.to_owned());
    facts.part = Some(second_of_five());
    let mut cases = sample::cases();
    for case in &mut cases {
        case.name = format!("{} {HOSTILE}", case.name);
    }
    let mut hostile = passed(cases[1].key.clone(), HOSTILE, 7);
    hostile.key.case = "B99".to_owned();
    hostile.steps = (1..=30)
        .map(|n| step(n, 10 + n, &format!("online: {{ block: b }} {HOSTILE}")))
        .collect();
    hostile.steps[29].verdict = Verdict::Fail;
    hostile.steps[29].message = Some(HOSTILE.to_owned());
    hostile.log_excerpt = HOSTILE.to_owned();
    hostile.command_line = HOSTILE.to_owned();
    hostile.findings = vec![FindingRecord {
        kind: "warning".to_owned(),
        title: HOSTILE.to_owned(),
        place: None,
        lines: vec![HOSTILE.to_owned()],
        since_step: Some(1),
        times: 1,
    }];
    let hostile = judged(hostile, Verdict::Fail, HOSTILE);
    let mut boots = Vec::new();
    for (size, free, panics) in [(0u64, 100_000u64, false), (8, 66_000, false), (32, 0, true)] {
        let mut case = passed(cases[4].key.clone(), "boots", 1);
        case.key.suite = "boot-memory".to_owned();
        case.key.case = format!("C{size}");
        case.command_line = format!("qemu -object memory-backend-ram,id=standby,size={size}G");
        if panics {
            case.ended = Some(GuestEnd::Panicked);
            case = judged(case, Verdict::Fail, "the kernel panicked");
        }
        boots.push((case, free));
    }
    let all = cases
        .into_iter()
        .map(|case| (case, 90_000))
        .chain([(hostile, 90_000)])
        .chain(boots);
    written(folder, &facts, all.collect())
}

/// Writes a run of these cases, each with the free pages of its first ledger; none without one.
fn written(folder: &Utf8Path, facts: &RunFacts, all: Vec<(CaseRecord, u64)>) -> RunRecord {
    let run = RunFolder::of(folder, facts);
    run.write_facts(facts).unwrap();
    let mut journal = String::new();
    let mut append = |at: f64, event: Event| {
        journal.push_str(&json!({ "at": at, "event": event }).to_string());
        journal.push('\n');
    };
    let planned = all.iter().map(|(case, _)| case.key.clone()).collect();
    append(
        0.0,
        Event::RunStarted {
            facts: Box::new(facts.clone()),
            planned,
        },
    );
    append(
        0.0,
        Event::Note {
            text: HOSTILE.to_owned(),
        },
    );
    for (at, (case, free)) in all.into_iter().enumerate() {
        let begun = 10.0 * at as f64;
        let id = case.key.id();
        if !case.attempts.is_empty() {
            let files = run.case(&case.key, 1).unwrap();
            let console = format!("[    1.000000] booting {HOSTILE}\r\n[    7.000000] late {HOSTILE}\r\n");
            std::fs::write(files.console_log(), console).unwrap();
            let qmp = [
                json!({ "at": begun + 0.5, "way": "received", "text": "{\"event\":\"RESUME\"}" }),
                json!({ "at": begun + 6.1, "way": "sent", "text": json!({ "execute": HOSTILE, "id": 1 }).to_string() }),
                json!({ "at": begun + 6.2, "way": "received", "text": HOSTILE }),
            ];
            std::fs::write(files.qmp_log(), qmp.map(|line| line.to_string()).join("\n")).unwrap();
            let zone = json!({ "start_pfn": 0, "spanned": 120_000, "present": 120_000, "managed": 120_000 });
            let ledgers = (0..=case.steps.len() as u64).map(|n| {
                json!({ "step": if n == 0 { None } else { Some(n) }, "at": 1.0, "ledger": { "mem_total": 110_000 + 512 * n,
                    "free": free + 256 * n, "zones": { "node 0 zone Normal": zone }, "nr_memmap": null, "nr_memmap_boot": null,
                    "blocks": {}, "storage": {}, "ram": [], "auto_online": "offline", "isolated": 0, "tainted": 0,
                    "hypervisor": { "dimms": {} } } })
            });
            if free > 0 {
                let ledgers: Vec<LedgerEntry> = serde_json::from_value(ledgers.collect()).unwrap();
                files.write_ledgers(&ledgers).unwrap();
            }
            append(begun, samples::begun(&case, case.attempts.len() as u32));
        }
        for step in &case.steps {
            let from = begun + 5.0 + f64::from(step.number) * 0.1;
            append(
                from,
                Event::StepStarted {
                    case: id.clone(),
                    number: step.number,
                    text: step.text.clone(),
                },
            );
            append(
                from + 0.08,
                Event::StepFinished {
                    case: id.clone(),
                    step: step.clone(),
                },
            );
        }
        append(
            begun + 9.0,
            Event::CaseFinished {
                record: Box::new(case),
            },
        );
    }
    append(200.0, Event::RunFinished { exit: 1 });
    std::fs::write(folder.join("events.jsonl"), journal).unwrap();
    let (record, damage) = RunRecord::read(folder).unwrap();
    assert_eq!(damage, []);
    record
}

fn news(record: &RunRecord) -> News {
    let past = |verdict| Past {
        run: "20260913T101530Z-000000".to_owned(),
        started: Timestamp::UNIX_EPOCH,
        kernel: "debian:trixie-6.12.100".to_owned(),
        verdict,
    };
    let failed = record.cases.iter().filter(|case| case.verdict == Verdict::Fail);
    let mut news = News::default();
    for (at, case) in failed.enumerate() {
        let standing = if at == 0 {
            Novelty::New {
                last: past(Verdict::Pass),
            }
        } else {
            Novelty::Still {
                since: past(Verdict::Fail),
                runs: 3,
            }
        };
        news.failures.insert(case.key.id(), standing);
    }
    news.fixed.insert(record.cases[0].key.id(), past(Verdict::Fail));
    assert_eq!(HistoryKey::of(&record.cases[0].key).arch, Arch::X86_64);
    news
}

/// Two kernels of which the new one shows a hostile file.
pub(crate) fn comparison() -> CompareRecord {
    let side = || KernelSide {
        release: "6.12.1".to_owned(),
        sha256: String::new(),
    };
    let row = Row {
        kind: Kind::Change,
        first: Difference {
            moment: 1,
            step: Some(1),
            text: "online: { block: b }".to_owned(),
            dimension: Dimension::Sysfs,
            name: "devices/system/memory/memory4/new".to_owned(),
            base: None,
            new: Some("<script>document.title='owned'</script>".to_owned()),
        },
        cases: vec![CaseName {
            suite: "quick".to_owned(),
            case: "Q01".to_owned(),
            variant: String::new(),
        }],
        others: Default::default(),
    };
    let sum = ArchComparison {
        base: side(),
        new: side(),
        cases: 12,
        observations: 3456,
        differing: 1,
        rows: vec![row],
        unsteady: Vec::new(),
        not_compared: Vec::new(),
        boot_memory: Vec::new(),
        unseen: vec![Dimension::Locks],
        failing: 0,
        millis: (1, 2),
    };
    CompareRecord {
        base: "debian:trixie".to_owned(),
        new: "debian:sid".to_owned(),
        base_named: None,
        new_named: None,
        series: None,
        applied: None,
        suites: vec!["quick".to_owned()],
        runs: Vec::new(),
        pairs: 2,
        arches: [(Arch::S390x, sum)].into(),
        ran: Default::default(),
        costs: Vec::new(),
        not_counted: Vec::new(),
    }
}

/// Lowest contrast between the text and the background of what a selector finds, by the formula of WCAG.
const CONTRAST: &str = "(selector) => { const parse = c => c.match(/[\\d.]+/g).map(Number);
    const lum = c => { const [r, g, b] = parse(c).map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b };
    const back = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
        const p = parse(c); if (p.length < 4 || p[3] > 0) return c } };
    return Math.min(...[...document.querySelectorAll(selector)].map(e => { const [a, b] = [lum(getComputedStyle(e).color), lum(back(e))];
        return (Math.max(a, b) + .05) / (Math.min(a, b) + .05) })) }";

#[test]
fn page_works_at_two_widths_in_both_themes_and_hostile_text_stays_text() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Utf8PathBuf::from_path_buf(dir.path().join("a run")).unwrap();
    std::fs::create_dir(&folder).unwrap();
    let record = write(&folder);
    let compare = comparison();
    let page = tell::html_with(
        &record,
        Some(&news(&record)),
        &record.traces(),
        (Some(&compare), None),
    );
    assert!(!page.contains("<script"), "hostile text is escaped");
    std::fs::write(folder.join("report.html"), page).unwrap();
    let url = format!("file://{}", folder.join("report.html")).replace(' ', "%20");
    let pictures = Utf8Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    std::fs::create_dir_all(&pictures).unwrap();

    let mut browser = Browser::start();
    let mut backgrounds = Vec::new();
    for (width, height) in [(390, 844), (1280, 900)] {
        for theme in ["light", "dark"] {
            let shot = |browser: &mut Browser, what: &str| {
                let file = pictures.join(format!("{width}-{theme}-{what}.png"));
                std::fs::write(file, browser.picture()).unwrap();
            };
            browser.see(width, height, theme);
            browser.open("about:blank");
            browser.open(&url);
            let title = browser.ask("document.title");
            let title = title.as_str().unwrap();
            assert!(
                title.contains(" fail") && title.ends_with("memrig 20260914T101530Z-3f9a1c"),
                "{title}"
            );
            // Why is told before anything is opened or scrolled, and links are called as what they lead to.
            let seen = "[...document.querySelectorAll('.first li')].map(e => [e.innerText, e.getBoundingClientRect().bottom])[0]";
            let seen = browser.ask(seen);
            assert!(
                seen[0].as_str().unwrap().contains("B99") || seen[0].as_str().unwrap().contains(": "),
                "{seen}"
            );
            assert!(seen[1].as_f64().unwrap() < f64::from(height), "{seen}");
            let called = "[...document.querySelectorAll('nav a')].filter(a => \
                          document.querySelector(a.hash + ' h2').textContent !== a.textContent).map(a => a.textContent)";
            assert_eq!(browser.ask(called), json!([]));
            let foreign = "document.querySelectorAll('script, img, iframe, object, embed, link, [onload], [onerror], [onmouseover]').length";
            assert_eq!(browser.ask(foreign), 0);
            let part = browser.ask("document.querySelector('header').innerText");
            let part = part.as_str().unwrap();
            assert!(
                part.contains("\nshard slice:2/5 of a plan of 387 cases"),
                "{part}"
            );
            shot(&mut browser, "top");
            backgrounds.push(browser.ask("getComputedStyle(document.body).backgroundColor"));

            let said = browser.ask("document.querySelector('#compared').textContent");
            let said = said.as_str().unwrap();
            for part in [
                "1 change: 1 of 3456 observations differ in 12 cases",
                "<script>document.title='owned'</script>",
                "locks, because at least one of the kernels has no lockdep",
            ] {
                assert!(said.contains(part), "{part} is not in the comparison");
            }
            browser.click("nav a[href='#compared']");
            let hidden = "document.querySelector('#compared h2').getBoundingClientRect().top < document.querySelector('nav').getBoundingClientRect().bottom";
            browser.wait_for(&format!("!({hidden})"));
            shot(&mut browser, "compared");

            // From the matrix to the cases, to the case, by clicks.
            let visible =
                |selector: &str| format!("document.querySelector({}).checkVisibility()", json!(selector));
            assert_eq!(
                browser.ask(&visible(".group .row.v-fail")),
                json!(false),
                "closed at first"
            );
            browser.click(".matrix a:has(.fail)");
            browser.wait_for(&visible(".group .row.v-fail"));
            assert!(
                browser
                    .ask("location.hash")
                    .as_str()
                    .unwrap()
                    .starts_with("#group-")
            );
            shot(&mut browser, "group");
            let hostile =
                "[...document.querySelectorAll('.trouble')].find(e => e.textContent.includes('B99'))";
            browser.ask(&format!("{hostile}.id = 'hostile'; {hostile}.open = false"));
            browser.click("#hostile > summary");
            browser.wait_for("document.querySelector('#hostile').open");
            browser.ask("document.querySelectorAll('#hostile details').forEach(e => e.open = true)");
            shot(&mut browser, "case");
            let said = browser.ask("document.querySelector('#hostile').textContent");
            let said = said.as_str().unwrap();
            for part in [
                "<script>document.title='owned'</script>",
                "{{ 7 * 7 }}",
                "&lt;",
                "\\x1b[31m",
            ] {
                assert!(said.contains(part), "{part} is not shown as it was printed");
            }
            let lanes = browser
                .ask("[...document.querySelectorAll('#hostile svg text')].map(e => e.textContent).join(' ')");
            for lane in ["sysfs", "qmp", "event", "console"] {
                assert!(lanes.as_str().unwrap().contains(lane), "{lanes}");
            }
            assert_eq!(
                browser.ask("document.querySelector('.bad .predicted').textContent + ' ' + document.querySelector('.bad .seen').textContent"),
                "998716 999228"
            );

            // Only failures.
            browser.click("#only-fail");
            assert_eq!(
                browser.ask("[...document.querySelectorAll('.group')].filter(e => e.checkVisibility()).every(e => e.querySelector('.v-fail'))"),
                json!(true)
            );
            browser.click("#only-all");

            // By keyboard: the first stop is the link over the head, and a summary opens with space.
            browser.open("about:blank");
            browser.open(&url);
            browser.press("Tab");
            assert_eq!(browser.ask("document.activeElement.className"), "skip-link");
            browser.press("Enter");
            browser.wait_for("location.hash === '#matrix'");
            browser.ask("document.querySelector('.group summary').focus()");
            browser.press(" ");
            browser.wait_for("document.querySelector('.group').open");

            // Everything open: nothing is wider than the page, everything can be read.
            browser.ask("document.querySelectorAll('details').forEach(e => e.open = true)");
            let too_wide = browser.ask("document.documentElement.scrollWidth - window.innerWidth");
            assert!(
                too_wide.as_i64().unwrap() <= 0,
                "at {width} the page is {too_wide} too wide"
            );
            let cut = "[...document.querySelectorAll('table.stack')].filter(e => e.scrollWidth > e.parentElement.clientWidth + 1).length";
            if width < 640 {
                assert_eq!(browser.ask(cut), 0, "a column is cut at {width}");
            }
            for selector in [
                "p, td, th, dd, dt, summary, .whom, .dim",
                ".chip, .matrix a span",
                "pre, code",
                "a",
            ] {
                let contrast = browser.ask(&format!("({CONTRAST})({})", json!(selector)));
                assert!(
                    contrast.as_f64().unwrap() >= 4.5,
                    "{theme}: `{selector}` has a contrast of {contrast}"
                );
            }
            assert_eq!(
                browser.ask("document.querySelectorAll('#boot polyline').length"),
                1
            );
            browser.ask("document.querySelector('#boot').scrollIntoView()");
            shot(&mut browser, "boot");

            // A log opens from the disk, as text.
            browser.click(".trouble .files a[href$='console.log']");
            browser
                .wait_for("location.pathname.endsWith('console.log') && document.readyState === 'complete'");
            let log = browser.ask("document.body.textContent");
            assert!(log.as_str().unwrap().contains("<script>document.title"), "{log}");
            assert_ne!(browser.ask("document.title"), "owned");
        }
    }
    assert_eq!(backgrounds[0], backgrounds[2]);
    assert_ne!(backgrounds[0], backgrounds[1], "the themes differ");
}

/// A nightly run is large: 2 000 cases, every fortieth of which fails.
#[test]
fn page_of_2000_cases_says_what_failed_first_and_finds_it_without_a_script() {
    const CASES: usize = 2_000;
    const EVERY: usize = 40;
    let dir = tempfile::tempdir().unwrap();
    let folder = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
    let of_sample = sample::cases();
    let case = |number: usize| {
        let mut key = of_sample[number % of_sample.len()].key.clone();
        key.suite = format!("suite-{}", number % 25);
        key.case = format!("N{number:04}");
        let case = passed(key, "a block goes online and offline through its file state", 7);
        match number % EVERY {
            0 => judged(
                case,
                Verdict::Fail,
                "1 entry of the guest's memory state is not as predicted",
            ),
            _ => case,
        }
    };
    let cases = (1..=CASES).map(|number| (case(number), 0)).collect();
    let record = written(&folder, &sample::facts(), cases);
    let page = tell::html(&record, None, &record.traces());
    std::fs::write(folder.join("report.html"), page).unwrap();
    let url = format!("file://{}", folder.join("report.html"));
    let pictures = Utf8Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    std::fs::create_dir_all(&pictures).unwrap();
    let mut browser = Browser::start();
    for (width, height) in [(390, 844), (1280, 900)] {
        for theme in ["light", "dark"] {
            browser.see(width, height, theme);
            browser.open("about:blank");
            browser.open(&url);
            let picture = |browser: &mut Browser, what: &str| {
                let file = pictures.join(format!("{width}-{theme}-large-{what}.png"));
                std::fs::write(file, browser.picture()).unwrap();
            };
            picture(&mut browser, "top");
            let title = browser.ask("document.title");
            assert!(
                title
                    .as_str()
                    .unwrap()
                    .starts_with(&format!("{} fail", CASES / EVERY)),
                "{title}"
            );
            let first = "document.querySelector('.first li').getBoundingClientRect().bottom";
            assert!(browser.ask(first).as_f64().unwrap() < f64::from(height));
            browser.click(".first li:last-child a");
            let there = "Math.abs(document.querySelector('#troubles').getBoundingClientRect().top)";
            browser.wait_for(&format!("{there} < 200"));
            // The matrix leads to a group with a failure.
            browser.click(".matrix a:has(.fail)");
            browser.wait_for(
                "[...document.querySelectorAll('.group .row.v-fail')].some(e => e.checkVisibility())",
            );
            browser.click("#only-fail");
            browser.ask("document.querySelectorAll('details.group').forEach(e => e.open = true)");
            let seen = |what: &str| {
                format!(
                    "[...document.querySelectorAll('.group .row{what}')].filter(e => e.checkVisibility()).length"
                )
            };
            assert_eq!(browser.ask(&seen(".v-fail")), CASES / EVERY);
            assert_eq!(browser.ask(&seen("")), CASES / EVERY);
            picture(&mut browser, "fails");
            browser.click("#only-all");
            assert_eq!(browser.ask(&seen("")), CASES);
            let too_wide = browser.ask("document.documentElement.scrollWidth - window.innerWidth");
            assert!(
                too_wide.as_i64().unwrap() <= 0,
                "at {width} the page is {too_wide} too wide"
            );
        }
    }
}

/// Cases end in any order, and a kernel may come in several packages of one version.
#[test]
fn page_has_the_order_of_the_suite_and_one_version_of_a_split_kernel() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
    sample::write(&folder);
    let (mut record, _) = RunRecord::read(&folder).unwrap();
    record.cases.reverse();
    let package = record.facts.kernels[0].packages[0].clone();
    record.facts.kernels[0].packages = vec![package.clone(), package];
    let page = tell::html(&record, None, &record.traces());
    let (_, cases) = page.split_once("id=\"cases\"").unwrap();
    let at = |case: &str| cases.find(&format!("<td>{case}</td>")).unwrap();
    assert!(at("B01") < at("B02") && at("S08") < at("S11"));
    assert!(page.contains("<td>6.12.107-1</td>"), "once");
    assert!(page.contains("2 CPUs, 8.0 GiB"));
}

/// The template escapes by its name's ending; nothing in it may say otherwise.
#[test]
fn page_template_switches_no_escaping_off() {
    for template in [
        include_str!("../../../tell/templates/report.html"),
        include_str!("../../../tell/templates/history.html"),
    ] {
        switches_none_off(template);
        assert!(template.contains("{% include \"head.html\" %}"));
    }
    let head = include_str!("../../../tell/templates/head.html");
    switches_none_off(head);
    assert!(head.contains("default-src 'none'"));
}

fn switches_none_off(template: &str) {
    for word in [
        "|safe",
        "| safe",
        "|escape(",
        "autoescape",
        "<script",
        "javascript:",
        "http:",
        "https:",
    ] {
        assert!(!template.contains(word), "the template has `{word}`");
    }
}
