"""``python -m semsynth``, the same as ``semsynth``."""

from semsynth.cli import main

if __name__ == "__main__":
    main()
