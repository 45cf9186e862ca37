//! The cookbook of `docs/policies.md`: every recipe is decided by the real engine as its cases say, and none is without.

use std::fs;

use tidegate::policy::cases::{self, Expected};
use tidegate::policy::{PolicySets, WorldFile};

const DOCUMENT: &str = include_str!("../../docs/policies.md");

/// One recipe, as it stands in the document.
#[derive(Debug, Default)]
struct Recipe {
    title: String,
    cedar: String,
    cases: String,
    /// `entities.json`, where there is one.
    entities: String,
}

/// The blocks of the cookbook: what they are about, and the recipes.
fn cookbook(document: &str) -> (String, Vec<Recipe>) {
    let (_, cookbook) =
        document.split_once("\n## Cookbook\n").unwrap_or_else(|| panic!("the document has no cookbook"));
    let (mut world, mut recipes) = (String::new(), Vec::<Recipe>::new());
    let mut block: Option<(&str, String)> = None;
    for line in cookbook.lines() {
        match (&mut block, line.strip_prefix("```")) {
            (Some(_), Some("")) => {
                let (kind, text) = block.take().unwrap();
                let recipe = recipes.last_mut();
                match (kind, recipe) {
                    ("toml world", _) => world = text,
                    ("cedar", Some(recipe)) => recipe.cedar.push_str(&text),
                    ("toml", Some(recipe)) => recipe.cases.push_str(&text),
                    ("json", Some(recipe)) => recipe.entities = text,
                    (kind, _) => panic!("a block of `{kind}` belongs to no recipe"),
                }
            }
            (Some((_, text)), _) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, Some(kind)) => block = Some((kind, String::new())),
            (None, None) => {
                if let Some(title) = line.strip_prefix("### ") {
                    recipes.push(Recipe { title: title.to_owned(), ..Recipe::default() });
                }
            }
        }
    }
    assert!(block.is_none(), "a block does not end");
    (world, recipes)
}

/// What is wrong with a recipe.
fn faults(recipe: &Recipe, world: &WorldFile) -> Vec<String> {
    if recipe.cedar.is_empty() || recipe.cases.is_empty() {
        return vec!["an example without a case, or a case without an example".to_owned()];
    }
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("customer")).unwrap();
    let file = format!("customer/{}.cedar", recipe.title.to_lowercase().replace(' ', "-"));
    fs::write(folder.path().join(file), &recipe.cedar).unwrap();
    if !recipe.entities.is_empty() {
        fs::write(folder.path().join("entities.json"), &recipe.entities).unwrap();
    }
    let sets = match PolicySets::read(folder.path()) {
        Ok(sets) => sets,
        Err(error) => return vec![error.to_string()],
    };
    let cases = match cases::read(&recipe.cases, &world.world) {
        Ok(cases) => cases,
        Err(faults) => return vec![faults.to_string()],
    };
    let report = cases::run(&sets, &cases);
    let mut wrong: Vec<_> = cases
        .iter()
        .zip(&report.outcomes)
        .flat_map(|(case, outcome)| {
            outcome.failures.iter().map(|failure| format!("{}: {failure}", case.name))
        })
        .collect();
    wrong.extend(report.undecided.iter().map(|policy| format!("no case is decided by {policy}")));
    for (kind, needed) in [("permitted", true), ("refused", false)] {
        if !cases.iter().any(|case| (case.expect == Expected::Permit) == needed) {
            wrong.push(format!("no case is {kind}"));
        }
    }
    wrong
}

#[test]
fn every_recipe_of_the_cookbook_answers_as_its_cases_say() {
    let (world, recipes) = cookbook(DOCUMENT);
    let world = WorldFile::read(&world).unwrap_or_else(|faults| panic!("{faults}"));
    let titles: Vec<_> = recipes.iter().map(|recipe| recipe.title.as_str()).collect();
    for needed in [
        "Kubernetes",
        "GitHub",
        "GitLab",
        "SPIFFE",
        "People",
        "Maintenance windows",
        "Source networks",
        "MFA freshness",
        "On-call",
        "On-call of the owning team",
    ] {
        assert!(titles.contains(&needed), "{needed} is missing in {titles:?}");
    }
    let wrong: Vec<_> = recipes
        .iter()
        .flat_map(|recipe| {
            faults(recipe, &world).into_iter().map(|fault| format!("{}: {fault}", recipe.title))
        })
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_recipe_without_a_case_or_with_a_wrong_one_is_found() {
    let (world, _) = cookbook(DOCUMENT);
    let world = WorldFile::read(&world).unwrap();
    let policy = "@id(\"a\")\npermit (principal, action, resource);\n@id(\"b\")\nforbid (principal, action == \
                  Tidegate::Action::\"lock\", resource);\n";
    let case = "[[case]]\nname = \"n\"\ngrant = \"reports\"\nttl = \"5m\"\nexpect = \"deny\"\n\
                principal = { issuer = \"staff\", subject = \"x\" }\n";
    let recipe = |cases: &str| {
        let document = format!("\n## Cookbook\n### R\n```cedar\n{policy}```\n{cases}");
        faults(&cookbook(&document).1[0], &world).join("; ")
    };
    assert!(recipe("").contains("an example without a case"));
    let wrong = recipe(&format!("```toml\n{case}```\n"));
    assert!(wrong.contains("n: expected `deny`, got `permit`"), "{wrong}");
    assert!(wrong.contains("no case is decided by customer/r.cedar#b"), "{wrong}");
    assert!(wrong.contains("no case is permitted"), "{wrong}");
}
