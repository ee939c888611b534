//! How each degree of a key's scale sounds: made by bench/sound_train.py, not by hand.

#![allow(clippy::approx_constant, reason = "numbers that were fitted")]

use super::key::Profile;

pub(super) const MAJOR: Profile = Profile {
    classes: [5.3645, -8.0527, 3.1792, -9.1483, 9.0919, 5.3548, -3.0084, 5.8145, -6.0230, -0.1936, -10.3690, 6.8894],
    bass: [8.1138, -1.5705, -0.8642, -4.3751, -2.0256, 2.0166, -2.5296, 5.1772, -2.4971, 2.0718, -8.1113, -2.1466],
    bias: -0.3340,
};
pub(super) const MINOR: Profile = Profile {
    classes: [5.7188, -11.7478, 4.5523, 11.0546, -5.7823, 0.2423, -1.5672, 5.6685, 6.7247, -9.8714, -2.1450, 3.0102],
    bass: [8.2582, -5.8187, -1.3806, -4.0982, -4.2953, -0.2878, -3.0485, 5.5070, -0.0408, -2.2380, -0.7434, -2.5578],
    bias: 0.3340,
};
