"""What the LangChain and LlamaIndex packages share. No framework is imported here."""
