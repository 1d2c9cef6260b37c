"""Run folders of version 0.1, whose settings were flat: what is read of them to go on using the segmenter."""

import dataclasses

from keras_wsseg.imaging.label_values import parse_values


@dataclasses.dataclass(frozen=True)
class FormerConfig:
    """What a finished training of version 0.1 was about.

    Attributes:
        method: its name, such as `gated-crf`.
        data: what it was trained on, as of `TrainingConfig`, as far as other commands ask.
        validation: likewise what it was scored on, or None.
    """

    method: str
    data: dict
    validation: dict | None

    @classmethod
    def of(cls, flat):
        """Out of the settings, a dict as `config.json` held it.

        Raises:
            KeyError, ValueError: if it is no such dict.

        Example:

        >>> flat = {"method": "pce", "tags": "tags.csv", "train_split": None, "val_split": None, "values": []}
        >>> FormerConfig.of(flat).data["config"]["split"] is None
        True
        """
        values = parse_values(flat["values"])
        data = {"tags": flat["tags"], "split": flat["train_split"], "values": values}
        split = flat["val_split"]
        return cls(flat["method"], {"config": data}, None if split is None else {"config": {"split": split}})
