//! Which genre is part of which.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use crate::fold;

static TREE: LazyLock<Tree> = LazyLock::new(|| Tree::read(include_str!("genres.txt")));

/// The genre and all that are part of it, as tags spell them, folded: "rock" gives "rock", "hard rock", "hard-rock",
/// "psychobilly" and many more. Of a genre that nobody placed, itself alone.
pub fn with_subgenres(genre: &str) -> Vec<String> {
    let genre = fold(genre);
    let mut spellings = TREE.below(&genre);
    if !spellings.contains(&genre) {
        spellings.push(genre);
    }
    spellings
}

/// A genre in all places where it stands.
#[derive(Default)]
struct Node {
    names: Vec<String>,
    parts: Vec<usize>,
}

#[derive(Default)]
struct Tree {
    nodes: Vec<Node>,
    /// By the letters and digits of each spelling.
    places: HashMap<String, usize>,
}

impl Tree {
    fn read(text: &str) -> Self {
        let mut tree = Self::default();
        // The genres that the next line may be part of, outermost first.
        let mut above: Vec<usize> = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            let depth = (line.len() - line.trim_start().len()) / 2;
            let names: Vec<String> = line.split('=').map(fold).collect();
            let node = tree.node(names);
            above.truncate(depth);
            if let Some(&whole) = above.last()
                && !tree.nodes[whole].parts.contains(&node)
            {
                tree.nodes[whole].parts.push(node);
            }
            above.push(node);
        }
        tree
    }

    /// The node of a genre that has these names; one of them is enough.
    fn node(&mut self, names: Vec<String>) -> usize {
        let known = names.iter().find_map(|name| self.places.get(&letters(name)).copied());
        let node = known.unwrap_or(self.nodes.len());
        if known.is_none() {
            self.nodes.push(Node::default());
        }
        for name in names {
            for spelling in spellings(&name) {
                self.places.entry(letters(&spelling)).or_insert(node);
            }
            if !self.nodes[node].names.contains(&name) {
                self.nodes[node].names.push(name);
            }
        }
        node
    }

    fn below(&self, genre: &str) -> Vec<String> {
        let mut left: Vec<usize> = self.places.get(&letters(genre)).copied().into_iter().collect();
        let mut seen: HashSet<usize> = left.iter().copied().collect();
        let mut found = Vec::new();
        while let Some(node) = left.pop() {
            let Node { names, parts } = &self.nodes[node];
            found.extend(names.iter().flat_map(|name| spellings(name)));
            left.extend(parts.iter().filter(|part| seen.insert(**part)));
        }
        found
    }
}

fn letters(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// A name as tags write it: "drum and bass" also as "drum & bass", "drum-and-bass", "drumandbass" and the like.
fn spellings(name: &str) -> Vec<String> {
    let mut all = vec![name.to_owned()];
    if name.contains(" and ") {
        all.extend([" & ", "&", " n ", "'n'", " 'n' "].map(|and| name.replace(" and ", and)));
    }
    if name.contains(' ') {
        all.extend([name.replace(' ', "-"), name.replace(' ', "")]);
        // "lo-fi hip hop", "synth-pop revival".
        all.push(name.replacen(' ', "-", 1));
        if let Some((start, last)) = name.rsplit_once(' ') {
            all.push(format!("{start}-{last}"));
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{TREE, Tree, letters, with_subgenres};

    #[test]
    fn a_genre_brings_its_parts_in_all_spellings() {
        let rock = with_subgenres("Rock");
        for part in ["rock", "hard rock", "Hard-Rock", "psychobilly", "death metal", "rock & roll", "rock 'n' roll"] {
            assert!(rock.contains(&part.to_lowercase()), "{part}");
        }
        assert!(!rock.contains(&"jazz".to_owned()));
        for (genre, part) in [
            ("hip-hop", "trap"),
            ("HipHop", "hip hop"),
            ("Rap", "hip-hop"),
            ("R&B", "neo soul"),
            ("DnB", "drum & bass"),
            ("Drum'n'Bass", "jungle"),
            ("synthpop", "synth-pop"),
            ("world", "afrobeat"),
            ("Forró", "forro"),
        ] {
            assert!(with_subgenres(genre).contains(&part.to_owned()), "{genre} holds {part}");
        }
    }

    #[test]
    fn what_nobody_placed_is_itself_alone() {
        assert_eq!(with_subgenres("Plinky Plonk"), ["plinky plonk"]);
        assert_eq!(with_subgenres("+++"), ["+++"], "no letters, no place");
        assert_eq!(Tree::read("# nothing\n\n").nodes.len(), 0);
    }

    #[test]
    fn what_stands_in_two_places_brings_its_parts_to_both() {
        let tree = Tree::read("rock\n  folk rock\n    celtic rock\nfolk\n  folk rock = folkrock\n");
        for whole in ["rock", "folk"] {
            assert!(tree.below(whole).contains(&"celtic rock".to_owned()), "{whole}");
        }
    }

    #[test]
    fn the_tree_is_one() {
        assert!(TREE.nodes.len() > 500, "{}", TREE.nodes.len());
        for (whole, node) in TREE.nodes.iter().enumerate() {
            let mut left = node.parts.clone();
            let mut seen = HashSet::new();
            while let Some(part) = left.pop() {
                assert_ne!(part, whole, "{:?} is part of itself", node.names);
                left.extend(TREE.nodes[part].parts.iter().filter(|part| seen.insert(**part)));
            }
            assert!(node.names.iter().all(|name| !letters(name).is_empty()), "{:?}", node.names);
        }
        for line in include_str!("genres.txt").lines().filter(|line| !line.starts_with('#')) {
            assert_eq!((line.len() - line.trim_start().len()) % 2, 0, "{line:?}");
            // Two names of one line that stand for different genres elsewhere would be taken for one.
            let nodes: HashSet<usize> = line.split('=').map(|name| TREE.places[&letters(&crate::fold(name))]).collect();
            assert_eq!(nodes.len(), 1, "{line:?}");
        }
    }
}
