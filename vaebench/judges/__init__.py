"""What the suite trains to judge methods by: classifiers, language models, word vectors."""
