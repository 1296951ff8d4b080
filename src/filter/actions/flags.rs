//! `addflag` and `removeflag`: change the flags of all filings of this rule and of later rules.

use super::super::asking::Break;
use super::super::keywords::Keywords;
use super::super::run::Run;
use super::{ActionWord, BoxedAction, Verb};
use crate::config::reader::TEXTS;

pub(super) const ADDFLAG: ActionWord = ActionWord::new(
    (
        "addflag",
        "Set a flag or keyword, or a list: `seen`, `flagged`, `answered`, `draft`, `$later`, `list-${list}`.",
        TEXTS,
    ),
    |node, compiler| Keywords::read(node, compiler).map(|flags| Box::new(AddFlag(flags)) as BoxedAction),
);

pub(super) const REMOVEFLAG: ActionWord =
    ActionWord::new(("removeflag", "Take a flag or keyword away, or a list of them.", TEXTS), |node, compiler| {
        Keywords::read(node, compiler).map(|flags| Box::new(RemoveFlag(flags)) as BoxedAction)
    });

#[derive(Debug)]
struct AddFlag(Keywords);

impl Verb for AddFlag {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        let more = self.0.of(&run.asking);
        run.did(&format!("addflag {more}"));
        run.change_flags(|flags| flags.extend(&more));
        Ok(())
    }

    fn changes(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct RemoveFlag(Keywords);

impl Verb for RemoveFlag {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        let less = self.0.of(&run.asking);
        run.did(&format!("removeflag {less}"));
        run.change_flags(|flags| flags.remove_all(&less));
        Ok(())
    }

    fn changes(&self) -> bool {
        true
    }
}
