"""The two ends of the question: the hook in pip's process, and the channel on which guard answers."""
