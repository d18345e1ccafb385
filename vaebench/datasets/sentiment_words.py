"""English words of praise and blame in reviews, put together by hand.

They are `style_words` of corpora of sentiment: what a rewritten sentence may change. They say
what the writer thinks of a thing; words that name one, such as 'staff' or 'manager', are
content and left out.
"""

POSITIVE = '''
    accommodating adorable affordable amazed amazing amazingly appealing appreciate
    appreciated appreciative attentive authentic awesome beautiful beautifully best better
    bliss brilliant caring charming cheerful classy clean comfortable comfy considerate
    convenient cool courteous cozy creative crisp cute decent delicious delight delighted
    delightful dependable divine easy efficient elegant enjoy enjoyable enjoyed enjoying
    excellent exceptional exceptionally excited exciting exquisite fabulous fantastic fast
    favorite favorites fine flavorful flawless fresh friendliest friendly fun gem generous
    gentle glad good gorgeous gracious grateful great greatest happily happy heavenly
    helpful honest hospitable ideal immaculate impeccable impress impressed impressive
    incredible incredibly inexpensive inviting juicy kind knowledgeable love loved lovely
    loves loving luckily magnificent marvelous memorable nice nicely nicest outstanding
    passionate patient perfect perfection perfectly personable phenomenal pleasant
    pleasantly pleased pleasure polite positive pretty professional prompt promptly quality
    quick quickly reasonable reasonably recommend recommended refreshing relaxed relaxing
    reliable respectful rich satisfied satisfying savory skilled smooth solid spacious
    spectacular splendid spotless stellar stunning stylish super superb superior talented
    tasty terrific thank thankful thorough thoughtful thrilled top treat trustworthy
    unbeatable welcome welcomed welcoming wonderful wonderfully worth worthwhile wow yum
    yummy
    '''

NEGATIVE = '''
    abysmal aggressive angry annoyed annoying appalled appalling arrogant atrocious avoid
    awful bad badly bland boring broken burned burnt careless cheap chewy clueless cold
    complain complained condescending confused confusing cramped crap crappy creepy crude
    dated deceptive depressing dingy dirty disappoint disappointed disappointing
    disappointment disaster disgraceful disgusted disgusting dishonest dismal disorganized
    disrespectful dissatisfied dreadful dry dull embarrassing expensive fail failed failure
    fake filthy flavorless forgettable frustrated frustrating greasy gross grumpy hate hated
    horrendous horrible horribly horrid horrific hostile ignorant ignored impatient
    impersonal incompetent inconsiderate inconsistent inconvenient inedible inferior insult
    insulted insulting irritated irritating joke lacking lackluster lame lazy lousy mad
    mediocre mess messy miserable miserably mushy nasty neglected nightmare noisy obnoxious
    offended outdated overcooked overpriced overrated pathetic pitiful pointless poor poorly
    pushy regret ridiculous rip-off rotten rude rudely ruined sad sadly salty scam screwed
    shabby shady shame shameful sick sloppy slow slowest smelly snobby soggy sour stale
    sticky stingy stupid sub-par subpar sucked sucks tasteless terrible terribly tough ugly
    unacceptable unappetizing uncomfortable undercooked underwhelmed underwhelming
    uneventful unfortunate unfortunately unfriendly unhappy unhelpful unimpressed uninspired
    unpleasant unprofessional unreliable unsanitary unsatisfied unwelcoming upset upsetting
    useless vile waste wasted weak weird worse worst worthless wrong yuck
    '''

SENTIMENT_WORDS = tuple(f'{POSITIVE} {NEGATIVE}'.split())
